//! The document as a page for people: plain HTML, which needs no script.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --code: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h2 { margin-top: 3rem; } h3 { margin: 2.5rem 0 .25rem; font-family: ui-monospace, monospace; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; background: var(--code); border-radius: 4px; }
code { padding: .1em .3em; } pre { padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; }
th, td { border-bottom: 1px solid var(--line); } nav ul { columns: 3 12rem; padding-left: 1.2rem; }
";

/// Sections and the messages that they show, by the place of their names in the document.
const SECTIONS: [(&str, &str); 3] = [
    ("Server to client", "/channels/eventStream/messages"),
    ("Server to client, by the WebSocket only", "/channels/webSocket/messages"),
    ("Client to server, by the WebSocket", "/operations/receiveBySocket/messages"),
];

pub(super) fn render(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>Version {}. For programs: \
         <a href=\"/api/asyncapi.yaml\">asyncapi.yaml</a>, <a href=\"/api/asyncapi.json\">asyncapi.json</a>. \
         <a href=\"/api/docs\">REST API</a></p>\n",
        text(&document["info"]["version"])
    );
    page += &prose(&document["info"]["description"]);
    let sections = sections(document);
    page += &contents(&sections);
    page += "<h2>Connections</h2>\n";
    for channel in document["channels"].as_object().into_iter().flat_map(|channels| channels.values()) {
        page += &render_channel(channel);
    }
    page += "<h2>Authentication</h2>\n<ul>\n";
    for scheme in document["components"]["securitySchemes"].as_object().into_iter().flat_map(|all| all.values()) {
        let name = if scheme["in"] == "query" { "<code>?ticket=</code>: " } else { "" };
        push(&mut page, format_args!("<li>{name}{}</li>\n", inline(&scheme["description"])));
    }
    page += "</ul>\n";
    for (title, names) in &sections {
        push(&mut page, format_args!("<h2>{title}</h2>\n"));
        for name in names {
            page += &render_message(&document["components"]["messages"][name], document);
        }
    }
    page + "</body>\n</html>\n"
}

/// Each message in the first section that has it.
fn sections(document: &Value) -> Vec<(&'static str, Vec<String>)> {
    let requests = names(document, SECTIONS[2].1);
    let streamed = names(document, SECTIONS[0].1);
    let replies = names(document, SECTIONS[1].1).into_iter();
    let replies = replies.filter(|name| !requests.contains(name) && !streamed.contains(name)).collect();
    vec![(SECTIONS[0].0, streamed), (SECTIONS[1].0, replies), (SECTIONS[2].0, requests)]
}

/// The names of the messages that are referred to.
fn names(document: &Value, place: &str) -> Vec<String> {
    let name = |reference: &Value| reference["$ref"].as_str()?.rsplit('/').next().map(str::to_owned);
    match document.pointer(place) {
        Some(Value::Object(messages)) => messages.keys().cloned().collect(),
        Some(Value::Array(messages)) => messages.iter().filter_map(name).collect(),
        _ => vec![],
    }
}

fn contents(sections: &[(&str, Vec<String>)]) -> String {
    let names = sections.iter().flat_map(|(_, names)| names);
    let mut items = String::new();
    for name in names {
        push(&mut items, format_args!("<li><a href=\"#{name}\"><code>{name}</code></a></li>\n"));
    }
    format!("<nav>\n<ul>\n{items}</ul>\n</nav>\n")
}

fn render_channel(channel: &Value) -> String {
    let address = text(&channel["address"]);
    let mut html = format!("<h3>{}: GET {address}</h3>\n", text(&channel["title"]));
    html += &prose(&channel["description"]);
    let query = channel.pointer("/bindings/ws/query/properties").unwrap_or(&channel["x-query"]);
    let mut rows: Vec<String> = parameters(query, "query");
    rows.extend(parameters(&channel["x-headers"], "header"));
    html + &table(["parameter", "in", "meaning"], &rows)
}

fn parameters(parameters: &Value, place: &str) -> Vec<String> {
    let parameters = parameters.as_object().into_iter().flatten();
    parameters
        .map(|(name, schema)| {
            format!(
                "<tr><td><code>{name}</code></td><td>{place}</td><td>{}</td></tr>\n",
                inline(&schema["description"])
            )
        })
        .collect()
}

fn render_message(message: &Value, document: &Value) -> String {
    let name = text(&message["name"]);
    let mut html = format!("<h3 id=\"{name}\">{name}</h3>\n{}", prose(&message["summary"]));
    let rows: Vec<String> = fields(&message["payload"], "", document);
    html += &table(["field", "type", "meaning"], &rows);
    for example in message["examples"].as_array().into_iter().flatten() {
        push(&mut html, format_args!("<pre>{}</pre>\n", escape(&example["payload"].to_string())));
    }
    html
}

/// A row for each field, also of the objects within.
fn fields(schema: &Value, prefix: &str, document: &Value) -> Vec<String> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut rows = vec![];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // A reference that has a description is within `allOf`.
        let reference = field["$ref"].as_str().or_else(|| field["allOf"][0]["$ref"].as_str());
        let target = reference.and_then(|reference| document.pointer(reference.trim_start_matches('#')));
        let target = target.unwrap_or(field);
        let optional = if required.iter().any(|it| it == name) { "" } else { ", may be absent" };
        let meaning = [field, target].into_iter().find_map(|schema| schema["description"].as_str()).unwrap_or_default();
        rows.push(format!(
            "<tr><td><code>{prefix}{name}</code></td><td>{}{optional}</td><td>{}</td></tr>\n",
            kind(target),
            inline(&meaning.into())
        ));
        rows.extend(fields(target, &format!("{prefix}{name}."), document));
    }
    rows
}

fn kind(schema: &Value) -> String {
    if let Some(name) = schema["const"].as_str() {
        return format!("<code>{}</code>", escape(name));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str).map(|value| format!("<code>{}</code>", escape(value)));
        return values.collect::<Vec<_>>().join(", ");
    }
    let names = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        name => name.as_str().unwrap_or_default().to_owned(),
    };
    match schema["format"].as_str() {
        Some(format @ ("date" | "date-time" | "uuid")) => format!("{names} ({format})"),
        _ => names,
    }
}

fn table(head: [&str; 3], rows: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let [first, second, third] = head;
    let head = format!("<tr><th>{first}</th><th>{second}</th><th>{third}</th></tr>");
    format!("<table>\n<thead>{head}</thead>\n<tbody>\n{}</tbody>\n</table>\n", rows.concat())
}

/// Paragraphs.
fn prose(value: &Value) -> String {
    let paragraphs = value.as_str().unwrap_or_default().split("\n\n").filter(|paragraph| !paragraph.is_empty());
    let mut html = String::new();
    for paragraph in paragraphs {
        push(&mut html, format_args!("<p>{}</p>\n", inline(&paragraph.into())));
    }
    html
}

/// Text in which backticks mark code.
fn inline(value: &Value) -> String {
    let escaped = text(value);
    let parts = escaped.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") }).collect()
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Writing to a text cannot fail.
fn push(page: &mut String, part: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(part);
}
