"""Every sentence that the program itself says on the screen, in Russian."""

from datetime import date

from index import Level
from kb import Route, Topic

LONGEST_QUESTION = 2_000

EMPTY = "Напечатайте вопрос звонящего. Ответ появится сразу."
TOO_LONG = "Слишком длинный текст. Напишите суть вопроса одной-двумя фразами."
NO_WORDS = "Не видно вопроса. Напишите его словами по-русски."
NO_ANSWER = "Сейчас я уточню это у старшего смены и вернусь к вам с ответом. Пожалуйста, оставайтесь на линии."
SEARCH_FAILED = "Поиск сейчас не работает. Передайте вопрос старшему смены; флаг опасного звонка работает."
FLAG_FAILED = "Проверка на опасный звонок не сработала. Сверьтесь с памяткой сами: есть ли угроза жизни?"

LEVELS = {
    Level.SURE: "Уверенный ответ",
    Level.CHECK: "Проверьте, о том ли вопрос",
    Level.NONE: "Ответа в базе нет",
}

TOPICS = {
    Topic.SICK_LEAVE: "Больничный",
    Topic.VACCINATION: "Прививка",
    Topic.CLINICS: "Поликлиники",
    Topic.QR: "QR-код",
    Topic.TESTING: "Тесты и карантин",
    Topic.CONTACTS: "Телефоны и помощь",
}

ROUTES = {
    Route.EMERGENCY: "103 или 112",
    Route.PSYCHOLOGIST: "психолог",
    Route.DOCTOR: "врач-консультант",
    Route.LAWYER: "юрист",
    Route.SOCIAL: "социальная служба",
    Route.TECH: "техподдержка",
    Route.SENIOR: "старший смены",
}

_MONTHS = (
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
)


def day_words(day: date) -> str:
    """24 января 2022 года"""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year} года"
