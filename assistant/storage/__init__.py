"""What is kept: entries and their revisions, calls, questions, accounts, the audit. The only place with SQL."""

from .accounts import Account, Token
from .audit import lines as audit_lines
from .audit import record
from .backup import backup, restore
from .calls import CallLine, CallQuestion, CallRecord, Unanswered
from .database import Database
from .entries import current_version, fill_if_empty, history, last_publisher, live_entries, publish
from .errors import Conflict, StorageBusy, StorageError
from .log import Asked, Lacking, Note, Remark, Used, close_feedback, no_answer, open_feedback, save_notes
from .tables import AuditRow, FeedbackRow, Opinion, Outcome, RevisionRow, RevisionState, Role

__all__ = [
    "Account",
    "Asked",
    "AuditRow",
    "CallLine",
    "CallQuestion",
    "CallRecord",
    "Conflict",
    "Database",
    "FeedbackRow",
    "Lacking",
    "Note",
    "Opinion",
    "Outcome",
    "Remark",
    "RevisionRow",
    "RevisionState",
    "Role",
    "StorageBusy",
    "StorageError",
    "Token",
    "Unanswered",
    "Used",
    "audit_lines",
    "backup",
    "close_feedback",
    "current_version",
    "fill_if_empty",
    "history",
    "last_publisher",
    "live_entries",
    "no_answer",
    "open_feedback",
    "publish",
    "record",
    "restore",
    "save_notes",
]
