//! The messages of reports, as pages.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::digest::{Digest, DigestLine, Incidents, SourceProgress};
use super::messages::{Message, Noun};
use super::page::{Block, Page};
use super::schedule::Language;

/// A digest in a language. `name` is that of its schedule.
#[must_use]
pub fn digest_page(digest: &Digest, language: Language, name: &str) -> Page {
    let writer = Writer { digest, language };
    let title = if digest.provisional { Message::ProvisionalTitle } else { Message::DigestTitle };
    let mut blocks = writer.introduction();
    blocks.extend(writer.payments());
    blocks.extend(writer.discrepancies());
    blocks.extend(digest.incidents.as_ref().map(|incidents| writer.incidents(incidents)).into_iter().flatten());
    blocks.push(Block::Paragraph(Message::Footer.with(language, &[("name", name)])));
    Page { title: title.with(language, &[("date", &language.day(digest.date))]), blocks }
}

/// A file that can be downloaded.
#[derive(Debug, Clone, Copy)]
pub struct ReadyFile<'a> {
    pub file_name: &'a str,
    pub rows: u64,
    pub link: &'a str,
    pub expires_at: DateTime<Utc>,
    pub zone: Tz,
}

/// Where the file of an export is: a link, never its content.
#[must_use]
pub fn export_page(file: &ReadyFile<'_>, language: Language, name: &str) -> Page {
    let ready = [("name", name), ("file", file.file_name), ("rows", &Noun::Row.counted(language, file.rows))];
    let expires_at = language.time(file.expires_at, file.zone);
    Page {
        title: Message::ExportTitle.with(language, &[("name", name)]),
        blocks: vec![
            Block::Paragraph(Message::ExportReady.with(language, &ready)),
            Block::Paragraph(Message::ExportLink.with(language, &[("time", &expires_at)])),
            Block::Link(file.link.to_owned()),
            Block::Paragraph(Message::Footer.with(language, &[("name", name)])),
        ],
    }
}

struct Writer<'a> {
    digest: &'a Digest,
    language: Language,
}

impl Writer<'_> {
    fn heading(&self, message: Message) -> Block {
        Block::Heading(message.text(self.language))
    }

    fn paragraph(&self, message: Message, values: &[(&str, &str)]) -> Block {
        Block::Paragraph(message.with(self.language, values))
    }

    fn time(&self, time: DateTime<Utc>) -> String {
        self.language.time(time, self.digest.timezone)
    }

    fn counted(&self, noun: Noun, count: i64) -> String {
        noun.counted(self.language, count.unsigned_abs())
    }

    fn number(&self, count: i64) -> String {
        self.language.count(count.unsigned_abs())
    }

    fn introduction(&self) -> Vec<Block> {
        let Digest { timezone, created_at, scope, sources, .. } = self.digest;
        let zone = [("zone", timezone.name()), ("time", &self.time(*created_at))];
        let mut blocks = vec![self.paragraph(Message::Zone, &zone)];
        if let Some(projects) = scope {
            blocks.push(self.paragraph(Message::Scope, &[("projects", &projects.join(", "))]));
        }
        for SourceProgress { source, read_until, .. } in sources.iter().filter(|source| !source.is_complete) {
            let source = ("source", source.as_str());
            blocks.push(match read_until {
                Some(until) => self.paragraph(Message::Provisional, &[source, ("time", &self.time(*until))]),
                None => self.paragraph(Message::NeverRead, &[source]),
            });
        }
        blocks
    }

    fn payments(&self) -> Vec<Block> {
        let Digest { totals, projects, .. } = self.digest;
        let mut blocks = vec![self.heading(Message::Totals)];
        if totals.is_empty() {
            blocks.push(self.paragraph(Message::NoPayments, &[]));
            return blocks;
        }
        blocks.push(self.table(totals, false));
        blocks.push(self.paragraph(Message::ChangeNote, &[]));
        blocks.push(self.heading(Message::Projects));
        blocks.push(self.table(projects, true));
        blocks
    }

    fn table(&self, lines: &[DigestLine], by_project: bool) -> Block {
        use Message::{Amount, Conversion, Currency, DayChange, Fee, Payments, Project, SuccessAmount, WeekChange};
        let columns = [Currency, Payments, Amount, SuccessAmount, Fee, Conversion, DayChange, WeekChange];
        let project = by_project.then_some(Project);
        let header = project.into_iter().chain(columns).map(|message| message.text(self.language)).collect();
        Block::Table { header, rows: lines.iter().map(|line| self.row(line, by_project)).collect() }
    }

    fn row(&self, line: &DigestLine, by_project: bool) -> Vec<String> {
        let language = self.language;
        let project = line.project.clone().unwrap_or_else(|| Message::NoProject.text(language));
        let cells = [
            line.currency.clone(),
            self.number(line.day.count),
            language.amount(line.day.amount),
            language.amount(line.day.success_amount),
            language.amount(line.day.fee),
            language.percent(line.conversion_rate),
            language.change(line.day_change_percent),
            language.change(line.week_change_percent),
        ];
        by_project.then_some(project).into_iter().chain(cells).collect()
    }

    fn discrepancies(&self) -> Vec<Block> {
        let Digest { discrepancies, value_at_risk, .. } = self.digest;
        let moved = [
            ("opened", &*self.number(discrepancies.opened)),
            ("closed", &self.number(discrepancies.closed)),
            ("unresolved", &self.number(discrepancies.unresolved)),
        ];
        let mut blocks =
            vec![self.heading(Message::Discrepancies), self.paragraph(Message::DiscrepanciesMoved, &moved)];
        if !value_at_risk.is_empty() {
            let header =
                [Message::Currency, Message::Count, Message::ValueAtRisk].map(|column| column.text(self.language));
            let unknown = || Message::UnknownCurrency.text(self.language);
            let rows = value_at_risk.iter().map(|at_risk| {
                let currency = at_risk.currency.clone().unwrap_or_else(unknown);
                vec![currency, self.number(at_risk.count), self.language.amount(at_risk.amount)]
            });
            blocks.push(Block::Table { header: header.to_vec(), rows: rows.collect() });
        }
        blocks
    }

    fn incidents(&self, incidents: &Incidents) -> Vec<Block> {
        let items: Vec<String> = self.alerts(incidents).into_iter().chain(self.faults(incidents)).collect();
        let found = if items.is_empty() { self.paragraph(Message::NoIncidents, &[]) } else { Block::List(items) };
        vec![self.heading(Message::Incidents), found]
    }

    fn alerts(&self, incidents: &Incidents) -> Vec<String> {
        let line = |alert: &super::digest::FiredAlert| {
            let message = if alert.is_resolved { Message::AlertFiredResolved } else { Message::AlertFired };
            let values = [
                ("time", &*self.time(alert.fired_at)),
                ("name", &alert.name),
                ("severity", alert.severity.as_str()),
                ("message", &alert.message),
            ];
            message.with(self.language, &values)
        };
        let mut lines: Vec<String> = incidents.alerts.iter().map(line).collect();
        let listed = i64::try_from(lines.len()).unwrap_or(i64::MAX);
        if incidents.alert_count > listed {
            let more = self.counted(Noun::Alert, incidents.alert_count - listed);
            lines.push(Message::MoreAlerts.with(self.language, &[("alerts", &more)]));
        }
        lines
    }

    fn faults(&self, incidents: &Incidents) -> Vec<String> {
        let failed = incidents.failed_jobs.iter().map(|failed| {
            let jobs = self.counted(Noun::Job, failed.count);
            Message::JobsFailed.with(self.language, &[("kind", &failed.kind), ("jobs", &jobs)])
        });
        let quarantined = (incidents.quarantined > 0 || incidents.in_quarantine > 0).then(|| {
            let (came, current) =
                (self.counted(Noun::Record, incidents.quarantined), self.number(incidents.in_quarantine));
            Message::Quarantined.with(self.language, &[("records", &came), ("current", &current)])
        });
        let lags = self.digest.sources.iter().filter(|source| !source.is_complete).filter_map(|progress| {
            let minutes = self.counted(Noun::Minute, progress.lag_minutes?);
            let values = [("source", progress.source.as_str()), ("minutes", &minutes)];
            Some(Message::SyncLag.with(self.language, &values))
        });
        failed.chain(quarantined).chain(lags).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alerts::rule::Severity;
    use crate::domain::metrics::cell::Measures;
    use crate::domain::metrics::query::MetricRow;
    use crate::domain::reports::digest::{AtRisk, DiscrepancyCounts, FailedJobs, FiredAlert, lines, progress};
    use crate::domain::status::Status;
    use rust_decimal::Decimal;

    fn digest() -> Digest {
        let time = |text: &str| text.parse::<DateTime<Utc>>().expect(text);
        let measures = Measures {
            count: 1_200,
            amount: Decimal::new(123_456_789, 2),
            fee: Decimal::new(5, 1),
            ..Measures::default()
        };
        let row = MetricRow {
            bucket: 0,
            source: None,
            member: "acme".to_owned(),
            status: Status::Success,
            currency: "INR".to_owned(),
            measures,
        };
        let (totals, projects) = lines(&[row]);
        let now = time("2026-01-15T01:30:00Z");
        Digest {
            date: "2026-01-14".parse().expect("a day"),
            timezone: Tz::UTC,
            scope: None,
            provisional: true,
            created_at: now,
            sources: progress([Some(now), Some(time("2026-01-14T23:29:00Z"))], time("2026-01-15T00:00:00Z"), now),
            totals,
            projects,
            discrepancies: DiscrepancyCounts { opened: 2, closed: 1, unresolved: 1_001 },
            value_at_risk: vec![AtRisk {
                currency: Some("INR".to_owned()),
                count: 1_001,
                amount: Decimal::new(1_050, 1),
            }],
            incidents: Some(Incidents {
                alert_count: 22,
                alerts: vec![FiredAlert {
                    name: "No payments <acme>".to_owned(),
                    severity: Severity::Critical,
                    message: "0 payments".to_owned(),
                    fired_at: time("2026-01-14T10:00:00Z"),
                    is_resolved: true,
                }],
                failed_jobs: vec![FailedJobs { kind: "export".to_owned(), count: 2 }],
                quarantined: 5,
                in_quarantine: 7,
            }),
        }
    }

    #[test]
    fn digest_says_everything_in_both_languages() {
        for (language, parts) in [
            (
                Language::English,
                [
                    "Digest of 14 January 2026 (provisional)",
                    "Provisional: payshack has been read only until 2026-01-14 23:29 (UTC)",
                    "INR          1,200  1,234,567.89       1,234,567.89  0.50     100.00%",
                    "acme",
                    "2 opened, 1 closed on the day; 1,001 unresolved now.",
                    "105.00",
                    "No payments <acme> (critical, resolved): 0 payments",
                    "and 21 alerts more",
                    "export: 2 jobs failed for good",
                    "5 records came into quarantine; 7 there now",
                    "payshack was last read completely 121 minutes ago",
                    "because of the report schedule \"daily\"",
                ],
            ),
            (
                Language::Russian,
                [
                    "Сводка за 14 января 2026 г. (предварительная)",
                    "payshack прочитан только до 14.01.2026 23:29 (UTC)",
                    "1\u{a0}234\u{a0}567,89",
                    "100,00\u{a0}%",
                    "За день открыто: 2, закрыто: 1; сейчас не решено: 1\u{a0}001.",
                    "105,00",
                    "No payments <acme> (critical, снято): 0 payments",
                    "и ещё 21 оповещение",
                    "export: окончательно не выполнено: 2 задачи",
                    "В карантин попало: 5 записей; сейчас там: 7",
                    "payshack последний раз полностью прочитан 121 минуту назад",
                    "по расписанию отчётов «daily»",
                ],
            ),
        ] {
            let page = digest_page(&digest(), language, "daily");
            let (text, html) = (page.to_text(), page.to_html());
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(html.contains("No payments &lt;acme&gt;") && !html.contains("<acme>"), "{html}");
        }
    }

    #[test]
    fn quiet_complete_day_of_some_projects_is_short() {
        let quiet = Digest {
            scope: Some(vec!["acme".to_owned()]),
            provisional: false,
            sources: vec![],
            totals: vec![],
            projects: vec![],
            value_at_risk: vec![],
            incidents: None,
            ..digest()
        };
        let text = digest_page(&quiet, Language::English, "daily").to_text();
        assert!(text.starts_with("Digest of 14 January 2026\n") && text.contains("No payments."), "{text}");
        assert!(text.contains("Only these projects: acme.") && !text.contains("Incidents"), "{text}");
        let calm = Digest { incidents: Some(Incidents::default()), ..quiet };
        assert!(digest_page(&calm, Language::English, "daily").to_text().contains("Incidents\n---------\n\nNone.\n"));
    }

    #[test]
    fn export_message_has_a_link_and_no_data() {
        let file = ReadyFile {
            file_name: "transactions.csv",
            rows: 21,
            link: "https://dash.example.com/api/v1/exports/1/download",
            expires_at: "2026-01-15T01:30:00Z".parse().expect("a time"),
            zone: Tz::UTC,
        };
        let russian = export_page(&file, Language::Russian, "Платежи").to_text();
        assert!(
            russian.contains("transactions.csv, 21 строка.") && russian.contains("до 15.01.2026 01:30 (UTC)"),
            "{russian}"
        );
        let english = export_page(&file, Language::English, "Payments").to_html();
        assert!(english.contains("<a href=\"https://dash.example.com/api/v1/exports/1/download\">"), "{english}");
    }
}
