INSERT INTO account (name, full_name, role, password, must_change, disabled, epoch, made_at) VALUES
  ('ivanova', 'Анна Иванова', 'volunteer', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA', false, false, 2, '2022-01-10 08:00:00.000000'),
  ('petrov', 'Пётр Петров', 'senior', NULL, true, true, 0, '2022-01-11 08:00:00.000000');

INSERT INTO sign_in (at, name, address, failed) VALUES
  ('2022-01-24 04:29:30.000000', 'ivanova', '10.0.0.7', true);

INSERT INTO token (name, role, digest, disabled, made_at) VALUES
  ('telephony', 'volunteer', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', false, '2022-01-12 08:00:00.000000');

INSERT INTO base_version (at, actor, note, fingerprint) VALUES
  ('2022-01-20 08:00:00.000000', 'system', 'first filling', '0000000000000000000000000000000000000000000000000000000000000001'),
  ('2022-01-24 08:00:00.000000', 'redaktor', 'правка', '0000000000000000000000000000000000000000000000000000000000000002');

INSERT INTO entry (id, live, position) VALUES
  ('sick-leave-extend', 2, 1),
  ('qr-lost', NULL, 2);

INSERT INTO revision (entry_id, number, state, body, author, at, comment, published_in) VALUES
  ('sick-leave-extend', 1, 'published', '{"id": "sick-leave-extend", "topic": "sick-leave", "question": "Как продлить больничный?", "variants": ["продлить больничный", "продление больничного", "больничный кончается", "дольше болею", "ещё не выздоровел"], "say": "Позвоните врачу.", "sources": ["Приказ № 1089н"], "reviewed": "2022-01-20", "owner": "редакция"}', 'system', '2022-01-20 08:00:00.000000', 'first filling', 1),
  ('sick-leave-extend', 2, 'published', '{"id": "sick-leave-extend", "topic": "sick-leave", "question": "Как продлить больничный?", "variants": ["продлить больничный", "продление больничного", "больничный кончается", "дольше болею", "ещё не выздоровел"], "say": "Позвоните врачу до последнего дня больничного.", "sources": ["Приказ № 1089н"], "reviewed": "2022-01-24", "owner": "редакция"}', 'redaktor', '2022-01-24 08:00:00.000000', 'правка', 2),
  ('qr-lost', 1, 'draft', '{"id": "qr-lost"}', 'redaktor', '2022-01-24 09:00:00.000000', '', NULL);

INSERT INTO call (id, account_id, actor, shift_day, shift, started_at, ended_at, outcome, transferred_to, call_back_at, called_back, route, urgency, reason, delivery_day, card, card_until, version, tab, tab_save, changed_at) VALUES
  ('6f1d2c3b-0000-4000-8000-000000000001', 1, 'ivanova', '2022-01-24', 'morning', '2022-01-24 05:00:00.000000', '2022-01-24 05:06:00.000000', 'call_back', 'doctor', '2022-01-24 10:00:00.000000', false, 'doctor', 'transfer', 'высокая температура', '2022-01-26', NULL, '2022-02-23', 7, 'tab-1', 7, '2022-01-24 05:06:00.000000');

INSERT INTO question (at, call_id, text, level, route, urgency, entries, used, base_version) VALUES
  ('2022-01-24 05:01:00.000000', '6f1d2c3b-0000-4000-8000-000000000001', 'меня зовут [имя], как продлить больничный', 'sure', '', '', '["sick-leave-extend"]', 'sick-leave-extend', 1);

INSERT INTO feedback (at, actor, entry_id, opinion, word, question, open, closed_by, closed_at) VALUES
  ('2022-01-24 05:02:00.000000', 'ivanova', 'sick-leave-extend', 'outdated', 'номер приказа другой', 'как продлить больничный', true, '', NULL);

INSERT INTO question_set (name, rows, author, at) VALUES
  ('первая смена', '[{"question": "как продлить больничный", "expected": "sick-leave-extend"}]', 'trener', '2022-01-24 06:00:00.000000');

INSERT INTO audit (at, actor, action, object, detail) VALUES
  ('2022-01-20 08:00:00.000000', 'system', 'publish', 'version 1', '{"changed": ["sick-leave-extend"]}'),
  ('2022-01-24 05:06:00.000000', 'petrov', 'look', 'call 6f1d2c3b-0000-4000-8000-000000000001', '{}');
