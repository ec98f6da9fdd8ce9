//! JSON written straight into one string: a page of records costs no tree and no allocation per field.
//!
//! Numbers are written as given, so that `100.00000000` keeps its eight decimals and never passes through a float.

use std::fmt::{Display, Write as _};

/// An object being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

/// Writes one object.
pub(crate) fn object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object { out, begun: false });
    out.push('}');
}

/// Writes an array, one call of `write` for each item.
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

/// Writes a string with its quotes.
pub(crate) fn text(out: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(value);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
}

impl Object<'_> {
    fn name(&mut self, name: &str) -> &mut String {
        if self.begun {
            self.out.push(',');
        }
        self.begun = true;
        text(self.out, name);
        self.out.push(':');
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        text(self.name(name), value);
        self
    }

    /// A string with nothing in it that JSON escapes.
    pub(crate) fn quoted(&mut self, name: &str, value: impl Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.name(name), "\"{value}\"");
        self
    }

    /// A number, a boolean or `null`, exactly as it prints.
    pub(crate) fn bare(&mut self, name: &str, value: impl Display) -> &mut Self {
        let _ = write!(self.name(name), "{value}");
        self
    }

    pub(crate) fn null(&mut self, name: &str) -> &mut Self {
        self.bare(name, "null")
    }

    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
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
    fn what_is_written_is_json() {
        let mut out = String::new();
        object(&mut out, |o| {
            o.text("name", "A\0\"b\"").bare("amount", "100.00000000").null("none");
            o.array("ids", [1, 2], |out, id| out.push_str(&id.to_string())).object("empty", |_| {});
        });
        assert_eq!(out, r#"{"name":"A\u0000\"b\"","amount":100.00000000,"none":null,"ids":[1,2],"empty":{}}"#);
    }
}
