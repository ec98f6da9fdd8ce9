//! Writes JSON directly into a string, without a tree and without an allocation per field.
//!
//! Numbers are written as given, so that `100.00000000` keeps its eight decimals.

use std::fmt::{Display, Write as _};

pub(crate) struct ObjectWriter<'a> {
    out: &'a mut String,
    has_fields: bool,
}

pub(crate) fn object(out: &mut String, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push('{');
    fill(&mut ObjectWriter { out, has_fields: false });
    out.push('}');
}

pub(crate) fn array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Writes a quoted and escaped string.
pub(crate) fn text(out: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(value);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
}

impl ObjectWriter<'_> {
    fn name(&mut self, name: &str) -> &mut String {
        if self.has_fields {
            self.out.push(',');
        }
        self.has_fields = true;
        text(self.out, name);
        self.out.push(':');
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        text(self.name(name), value);
        self
    }

    /// A string that contains no characters to escape.
    pub(crate) fn quoted(&mut self, name: &str, value: impl Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.name(name), "\"{value}\"");
        self
    }

    /// A number, a boolean, `null` or serialized JSON, exactly as displayed.
    pub(crate) fn unquoted(&mut self, name: &str, value: impl Display) -> &mut Self {
        let _ = write!(self.name(name), "{value}");
        self
    }

    pub(crate) fn null(&mut self, name: &str) -> &mut Self {
        self.unquoted(name, "null")
    }

    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) -> &mut Self {
        object(self.name(name), fill);
        self
    }

    pub(crate) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut String, T),
    ) -> &mut Self {
        array(self.name(name), items, write);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_valid_json() {
        let mut out = String::new();
        object(&mut out, |o| {
            o.text("name", "A\0\"b\"").unquoted("amount", "100.00000000").null("none");
            o.array("ids", [1, 2], |out, id| out.push_str(&id.to_string())).object("empty", |_| {});
        });
        assert_eq!(out, r#"{"name":"A\u0000\"b\"","amount":100.00000000,"none":null,"ids":[1,2],"empty":{}}"#);
    }
}
