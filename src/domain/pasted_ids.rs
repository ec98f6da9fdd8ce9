//! Ids as people paste them: out of a spreadsheet, a chat or a bank statement.
//!
//! A list that is pasted as one text is taken apart at white space, commas and semicolons, because a field of a single line turns
//! line breaks into spaces. An id that contains one of them has to be an item of a list.

/// The ids of a pasted text, in its order and with repetitions.
#[must_use]
pub fn split_pasted(text: &str) -> Vec<String> {
    let parts = text.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ';'));
    parts.map(clean_id).filter(|id| !id.is_empty()).collect()
}

/// One id without what spreadsheets and chats put around it: white space, invisible characters, quotation marks, and the
/// apostrophe, or `="..."`, that keeps a spreadsheet from reading a number.
#[must_use]
pub fn clean_id(text: &str) -> String {
    let visible: String = text.chars().filter(|letter| !is_invisible(*letter)).collect();
    let id = visible.trim();
    let id = match id.strip_prefix('=') {
        Some(formula) if is_quoted(formula) => formula,
        _ => id,
    };
    let id = unquoted(id);
    id.strip_prefix(['\'', '\u{2019}']).unwrap_or(id).trim().to_owned()
}

/// Control characters that are no white space, and characters without a width that copying brings along, such as a byte order
/// mark or a mark of the writing direction.
fn is_invisible(letter: char) -> bool {
    let is_control = letter.is_control() && !letter.is_whitespace();
    let has_no_width = matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    is_control || has_no_width
}

const QUOTES: [(char, char); 5] =
    [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}'), ('\u{ab}', '\u{bb}')];

fn inside_quotes(text: &str) -> Option<&str> {
    QUOTES.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
}

fn is_quoted(text: &str) -> bool {
    inside_quotes(text).is_some()
}

fn unquoted(text: &str) -> &str {
    inside_quotes(text).map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_freed_of_what_surrounds_them() {
        for (text, expected) in [
            ("402118868194", "402118868194"),
            (" 402118868194\t", "402118868194"),
            ("'402118868194", "402118868194"),
            ("''402118868194", "'402118868194"),
            ("\u{2019}402118868194", "402118868194"),
            ("\"402118868194\"", "402118868194"),
            ("\"'00042\"", "00042"),
            ("'00042'", "00042"),
            ("=\"00042\"", "00042"),
            ("=00042", "=00042"),
            ("\u{201c}SP-1\u{201d}", "SP-1"),
            ("\u{ab}SP-1\u{bb}", "SP-1"),
            ("\u{feff}SP\u{200b}-\u{2060}1\u{200e}", "SP-1"),
            ("\u{a0}SP-1\u{3000}", "SP-1"),
            ("\u{0}SP-1\u{7f}", "SP-1"),
            ("Ref 12", "Ref 12"),
            ("a\"b", "a\"b"),
            ("\"", "\""),
            ("'", ""),
            ("\"\"", ""),
            ("", ""),
        ] {
            assert_eq!(clean_id(text), expected, "{text:?}");
        }
    }

    #[test]
    fn pasted_text_is_split_where_ids_end() {
        for (text, expected) in [
            ("", vec![]),
            (" \r\n\t,;\u{200b}", vec![]),
            ("a", vec!["a"]),
            ("a\r\nb\nc\rd\u{2028}e\u{85}f", vec!["a", "b", "c", "d", "e", "f"]),
            ("a\tb c\u{a0}d,e;f , g", vec!["a", "b", "c", "d", "e", "f", "g"]),
            ("\u{feff}'001\n'002\n\"003\"\n", vec!["001", "002", "003"]),
            ("b,a,B,a", vec!["b", "a", "B", "a"]),
            ("0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d4e", vec!["0198f2a7-c11b-7b3a-9d42-5f6a1c2b3d4e"]),
        ] {
            assert_eq!(split_pasted(text), expected, "{text:?}");
        }
    }

    fn surroundings() -> impl Strategy<Value = (String, String)> {
        let blank = "[ \u{a0}\u{200b}\u{feff}]{0,3}";
        let quotes = prop_oneof![
            Just(("", "")),
            Just(("'", "")),
            Just(("\"", "\"")),
            Just(("\"'", "\"")),
            Just(("=\"", "\"")),
            Just(("\u{201c}", "\u{201d}"))
        ];
        (blank, quotes, blank)
            .prop_map(|(before, (open, close), after)| (format!("{before}{open}"), format!("{close}{after}")))
    }

    proptest! {
        /// Whatever surrounds them, the ids are read in their order, with repetitions.
        #[test]
        fn ids_survive_being_pasted(
            ids in prop::collection::vec(("[A-Za-z0-9._-]{1,40}", surroundings()), 0..40),
            separator in prop_oneof![Just("\n"), Just("\r\n"), Just("\t"), Just(","), Just(" ; "), Just("\n\n")],
        ) {
            let pasted: Vec<String> =
                ids.iter().map(|(id, (before, after))| format!("{before}{id}{after}")).collect();
            let expected: Vec<&String> = ids.iter().map(|(id, _)| id).collect();
            let read = split_pasted(&pasted.join(separator));
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_text_yields_ids_without_blanks(text in any::<String>()) {
            for id in split_pasted(&text) {
                prop_assert!(!id.is_empty() && !id.contains(char::is_whitespace) && !id.contains('\0'), "{id:?}");
            }
        }
    }
}
