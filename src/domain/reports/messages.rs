//! What reports say, in every language: one table, so that no language lacks a sentence. A name in braces is replaced.

use super::format::PluralForm;
use super::schedule::Language;

/// Declares an enum of messages with their texts.
macro_rules! messages {
    ($($message:ident: $english:literal, $russian:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message {
            $($message),+
        }

        impl Message {
            pub const ALL: [Self; [$($english),+].len()] = [$(Self::$message),+];

            #[must_use]
            pub const fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$message, Language::English) => $english,
                      (Self::$message, Language::Russian) => $russian,)+
                }
            }
        }
    };
}

messages! {
    DigestTitle: "Digest of {date}", "Сводка за {date}";
    ProvisionalTitle: "Digest of {date} (provisional)", "Сводка за {date} (предварительная)";
    Zone: "The day in the time zone {zone}. Created {time}.", "Сутки по часовому поясу {zone}. Составлено {time}.";
    Scope: "Only these projects: {projects}.", "Только проекты: {projects}.";
    Provisional: "Provisional: {source} has been read only until {time}, so payments of the day may be missing.",
        "Предварительные данные: {source} прочитан только до {time}, поэтому часть платежей за день может отсутствовать.";
    NeverRead: "Provisional: {source} has never been read completely, so payments of the day may be missing.",
        "Предварительные данные: {source} ещё ни разу не был прочитан полностью, поэтому часть платежей за день может отсутствовать.";
    Totals: "Totals", "Итого";
    Projects: "Projects", "Проекты";
    NoPayments: "No payments.", "Платежей нет.";
    Project: "Project", "Проект";
    NoProject: "without a project", "без проекта";
    Currency: "Currency", "Валюта";
    Payments: "Payments", "Платежи";
    Amount: "Amount", "Сумма";
    SuccessAmount: "Successful amount", "Успешная сумма";
    Fee: "Fee", "Комиссия";
    Conversion: "Conversion", "Конверсия";
    DayChange: "Against the day before", "К предыдущему дню";
    WeekChange: "Against the week before", "К тому же дню неделю назад";
    ChangeNote: "Changes are of the successful amount.", "Изменения считаются по успешной сумме.";
    Discrepancies: "Discrepancies", "Расхождения";
    DiscrepanciesMoved: "{opened} opened, {closed} closed on the day; {unresolved} unresolved now.",
        "За день открыто: {opened}, закрыто: {closed}; сейчас не решено: {unresolved}.";
    ValueAtRisk: "Value at risk", "Сумма под риском";
    Count: "Discrepancies", "Расхождения";
    UnknownCurrency: "unknown", "неизвестна";
    Incidents: "Incidents", "Инциденты";
    NoIncidents: "None.", "Не было.";
    AlertFired: "{time}: {name} ({severity}): {message}", "{time}: {name} ({severity}): {message}";
    AlertFiredResolved: "{time}: {name} ({severity}, resolved): {message}",
        "{time}: {name} ({severity}, снято): {message}";
    MoreAlerts: "and {alerts} more", "и ещё {alerts}";
    JobsFailed: "{kind}: {jobs} failed for good", "{kind}: окончательно не выполнено: {jobs}";
    Quarantined: "{records} came into quarantine; {current} there now", "В карантин попало: {records}; сейчас там: {current}";
    SyncLag: "{source} was last read completely {minutes} ago", "{source} последний раз полностью прочитан {minutes} назад";
    ExportTitle: "Report: {name}", "Отчёт: {name}";
    ExportReady: "The report \"{name}\" is ready: {file}, {rows}.", "Отчёт «{name}» готов: {file}, {rows}.";
    ExportLink: "Download it with your API key until {time}:", "Скачать с вашим ключом API можно до {time}:";
    Footer: "You receive this message because of the report schedule \"{name}\".",
        "Вы получили это письмо по расписанию отчётов «{name}».";
}

/// Declares nouns that follow a number, in their forms: one and many in English, one, few and many in Russian.
macro_rules! nouns {
    ($($noun:ident: $english_one:literal, $english_many:literal; $one:literal, $few:literal, $many:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Noun {
            $($noun),+
        }

        impl Noun {
            pub const ALL: [Self; [$($english_one),+].len()] = [$(Self::$noun),+];

            const fn form(self, language: Language, form: PluralForm) -> &'static str {
                match (self, language, form) {
                    $((Self::$noun, Language::English, PluralForm::One) => $english_one,
                      (Self::$noun, Language::English, PluralForm::Few | PluralForm::Many) => $english_many,
                      (Self::$noun, Language::Russian, PluralForm::One) => $one,
                      (Self::$noun, Language::Russian, PluralForm::Few) => $few,
                      (Self::$noun, Language::Russian, PluralForm::Many) => $many,)+
                }
            }
        }
    };
}

nouns! {
    Discrepancy: "discrepancy", "discrepancies"; "расхождение", "расхождения", "расхождений";
    Alert: "alert", "alerts"; "оповещение", "оповещения", "оповещений";
    Job: "job", "jobs"; "задача", "задачи", "задач";
    Record: "record", "records"; "запись", "записи", "записей";
    Row: "row", "rows"; "строка", "строки", "строк";
    // In the accusative, before "назад".
    Minute: "minute", "minutes"; "минуту", "минуты", "минут";
}

impl Noun {
    /// The number and the noun.
    #[must_use]
    pub fn counted(self, language: Language, count: u64) -> String {
        format!("{} {}", language.count(count), self.form(language, language.plural_form(count)))
    }
}

impl Message {
    /// The text of a message without placeholders.
    #[must_use]
    pub fn text(self, language: Language) -> String {
        self.template(language).to_owned()
    }

    /// The text, with these values for its placeholders.
    #[must_use]
    pub fn with(self, language: Language, values: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let mut rest = self.template(language);
        // From left to right, so that a value that contains braces is not replaced again.
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
        {
            text.push_str(before);
            text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn placeholders(template: &str) -> BTreeSet<&str> {
        template.split('{').skip(1).map(|rest| rest.split_once('}').expect(template).0).collect()
    }

    #[test]
    fn every_language_has_each_message_with_the_same_placeholders() {
        for message in Message::ALL {
            let [english, russian] = Language::ALL.map(|language| message.template(language));
            assert!(!english.is_empty() && !russian.is_empty(), "{message:?}");
            assert_eq!(placeholders(english), placeholders(russian), "{message:?}");
            let is_cyrillic = |text: &str| {
                text.chars().any(|letter| ('а'..='я').contains(&letter.to_lowercase().next().unwrap_or('a')))
            };
            assert!(!is_cyrillic(english), "{message:?}");
            assert!(is_cyrillic(russian) || english == russian, "{message:?}");
        }
    }

    #[test]
    fn nouns_agree_with_their_number() {
        for (noun, count, english, russian) in [
            (Noun::Discrepancy, 1, "1 discrepancy", "1 расхождение"),
            (Noun::Discrepancy, 3, "3 discrepancies", "3 расхождения"),
            (Noun::Discrepancy, 5, "5 discrepancies", "5 расхождений"),
            (Noun::Discrepancy, 11, "11 discrepancies", "11 расхождений"),
            (Noun::Discrepancy, 21, "21 discrepancies", "21 расхождение"),
            (Noun::Minute, 1, "1 minute", "1 минуту"),
            (Noun::Minute, 22, "22 minutes", "22 минуты"),
            (Noun::Row, 1_000, "1,000 rows", "1\u{a0}000 строк"),
            (Noun::Job, 112, "112 jobs", "112 задач"),
            (Noun::Record, 0, "0 records", "0 записей"),
            (Noun::Alert, 1, "1 alert", "1 оповещение"),
        ] {
            let texts = Language::ALL.map(|language| noun.counted(language, count));
            assert_eq!(texts, [english, russian]);
        }
        for noun in Noun::ALL {
            let forms = [PluralForm::One, PluralForm::Few, PluralForm::Many];
            let distinct: BTreeSet<_> = forms.map(|form| noun.form(Language::Russian, form)).into();
            assert_eq!(distinct.len(), 3, "{noun:?}");
        }
    }

    #[test]
    fn values_replace_placeholders_once() {
        let text =
            Message::ExportReady.with(Language::English, &[("name", "{file}"), ("file", "a.csv"), ("rows", "1 row")]);
        assert_eq!(text, "The report \"{file}\" is ready: a.csv, 1 row.");
    }
}
