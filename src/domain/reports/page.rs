//! A message as blocks, and its two forms: plain text and HTML. Both from the same blocks, so that they cannot differ.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Heading(String),
    Paragraph(String),
    List(Vec<String>),
    /// The first column is aligned to the left, the others to the right.
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// A paragraph that is one address.
    Link(String),
}

/// A message with its title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub title: String,
    pub blocks: Vec<Block>,
}

impl Page {
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for block in &self.blocks {
            text.push('\n');
            text.push_str(&block_text(block));
        }
        text
    }

    /// A complete document, without anything that a mail program would have to load.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = escape(&self.title);
        let body: String = self.blocks.iter().map(block_html).collect();
        format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body style=\"font-family: sans-serif\">\n<h1>{title}</h1>\n{body}</body></html>\n"
        )
    }
}

fn block_text(block: &Block) -> String {
    match block {
        Block::Heading(heading) => format!("{heading}\n{}\n", "-".repeat(heading.chars().count())),
        Block::Paragraph(paragraph) | Block::Link(paragraph) => format!("{paragraph}\n"),
        Block::List(items) => lines(items.iter().map(|item| format!("- {item}"))),
        Block::Table { header, rows } => table_text(header, rows),
    }
}

/// Each line with its end.
fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn table_text(header: &[String], rows: &[Vec<String>]) -> String {
    let table = || std::iter::once(header).chain(rows.iter().map(Vec::as_slice));
    let width = |column: usize| table().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or_default()).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let padded = cells.map(
            |(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        );
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines(table().map(line))
}

fn block_html(block: &Block) -> String {
    match block {
        Block::Heading(heading) => format!("<h2>{}</h2>\n", escape(heading)),
        Block::Paragraph(paragraph) => format!("<p>{}</p>\n", escape(paragraph)),
        Block::Link(address) => {
            let address = escape(address);
            format!("<p><a href=\"{address}\">{address}</a></p>\n")
        }
        Block::List(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
            format!("<ul>{}</ul>\n", items.concat())
        }
        Block::Table { header, rows } => {
            let head = row_html("th", header);
            let body: String = rows.iter().map(|row| row_html("td", row)).collect();
            format!("<table cellpadding=\"4\" style=\"border-collapse: collapse\">\n{head}{body}</table>\n")
        }
    }
}

fn row_html(tag: &str, cells: &[String]) -> String {
    let cell = |(column, cell): (usize, &String)| {
        let align = if column == 0 { "left" } else { "right" };
        format!("<{tag} align=\"{align}\">{}</{tag}>", escape(cell))
    };
    format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_same_content() {
        let texts = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let page = Page {
            title: "A & B".to_owned(),
            blocks: vec![
                Block::Heading("Проекты".to_owned()),
                Block::Table {
                    header: texts(&["Project", "Amount"]),
                    rows: vec![texts(&["<b>acme</b>", "1.00"]), texts(&["x", "1,000.00"])],
                },
                Block::List(texts(&["one", "two"])),
                Block::Link("https://example.com/?a=1&b=\"2\"".to_owned()),
            ],
        };
        assert_eq!(
            page.to_text(),
            "A & B\n\nПроекты\n-------\n\nProject        Amount\n<b>acme</b>      1.00\nx            1,000.00\n\n- one\n- two\n\n\
             https://example.com/?a=1&b=\"2\"\n"
        );
        let html = page.to_html();
        for part in [
            "<title>A &amp; B</title>",
            "<td align=\"left\">&lt;b&gt;acme&lt;/b&gt;</td><td align=\"right\">1.00</td>",
            "<li>one</li><li>two</li>",
            "<a href=\"https://example.com/?a=1&amp;b=&quot;2&quot;\">",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
