//! Masks personal data within text: case notes, error messages, messages of providers.
//!
//! Nobody knows what such a text contains, so everything is masked that could be an e-mail address, a UPI id, a phone number,
//! or the number of an account or a card: whatever surrounds an `@`, and long runs of digits, also with blanks or hyphens
//! between them. Ids (UUIDs), days and times are recognized first and stay readable. Rejected: a regular expression per kind of
//! data, because a number that fits none of them would stay.

/// As many digits in a row, or more, are masked.
const LONG_RUN: usize = 6;
/// So many digits are masked even if there are blanks or hyphens between them.
const LONG_NUMBER: usize = 9;
const MASK: &str = "***";

pub(super) fn mask_text(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    mask_numbers(&mask_addresses(&characters))
}

/// `s***@example.com`: of what is before an `@`, only the first character stays.
fn mask_addresses(text: &[char]) -> Vec<char> {
    let mut masked: Vec<char> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let length = at_sign(rest);
        if length == 0 {
            masked.push(first);
            rest = after;
            continue;
        }
        let start = masked.iter().rposition(|letter| !is_part_of_local(*letter)).map_or(0, |index| index + 1);
        if start < masked.len() {
            masked.truncate(start + 1);
            masked.extend(MASK.chars());
        }
        masked.extend(&rest[..length]);
        rest = &rest[length..];
    }
    masked
}

/// The length of an `@` at the beginning of the text, also if it is encoded for a URL.
fn at_sign(text: &[char]) -> usize {
    match text {
        ['@' | '＠' | '﹫', ..] => 1,
        ['%', '4', '0', ..] => 3,
        _ => 0,
    }
}

fn is_part_of_local(letter: char) -> bool {
    !letter.is_whitespace() && !"<>()[]{},;:=/?&@＠﹫".contains(letter)
}

/// Replaces long numbers.
fn mask_numbers(text: &[char]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut index = 0;
    while index < text.len() {
        let at_boundary = index == 0 || !text[index - 1].is_alphanumeric();
        let rest = &text[index..];
        let readable = if at_boundary { uuid(rest).or_else(|| day(rest)) } else { None };
        let (kept, taken) = match readable {
            Some(length) => (Some(&rest[..length]), length),
            None if rest[0].is_numeric() => number(rest),
            None => (Some(&rest[..1]), 1),
        };
        match kept {
            Some(kept) => masked.extend(kept),
            None => masked.push_str(MASK),
        }
        index += taken;
    }
    masked
}

/// The number at the beginning of the text, or `None` if it must be masked; and its length.
fn number(text: &[char]) -> (Option<&[char]>, usize) {
    let run = text.iter().take_while(|letter| letter.is_numeric()).count();
    let (mut length, mut digits) = (run, run);
    // `98765 43341` and `+91 98765-43341` are one number. Single digits are rather a list.
    loop {
        let separators =
            text[length..].iter().take_while(|letter| matches!(letter, ' ' | '-' | '(' | ')' | '.')).count();
        let next = &text[length + separators..];
        let run = next.iter().take_while(|letter| letter.is_numeric()).count();
        if separators == 0 || separators > 2 || run < 2 || day(next).is_some() || uuid(next).is_some() {
            break;
        }
        length += separators + run;
        digits += run;
    }
    if run >= LONG_RUN || digits >= LONG_NUMBER {
        return (None, length);
    }
    (Some(&text[..run]), run)
}

/// The length of a UUID at the beginning of the text.
fn uuid(text: &[char]) -> Option<usize> {
    const LENGTH: usize = 36;
    let candidate = text.get(..LENGTH)?;
    let fits = candidate.iter().enumerate().all(|(index, letter)| match index {
        8 | 13 | 18 | 23 => *letter == '-',
        _ => letter.is_ascii_hexdigit(),
    });
    (fits && text.get(LENGTH).is_none_or(|next| !next.is_alphanumeric())).then_some(LENGTH)
}

/// The length of a day at the beginning of the text, with the time if it follows: `2026-01-15T10:00:00.123456Z`.
fn day(text: &[char]) -> Option<usize> {
    const DAY: &str = "0000-00-00";
    const TIME: &str = "00:00:00";
    let fits = |text: &[char], pattern: &str| {
        text.len() >= pattern.len()
            && text.iter().zip(pattern.chars()).all(|(letter, expected)| match expected {
                '0' => letter.is_ascii_digit(),
                _ => *letter == expected,
            })
    };
    let ends = |length: usize| text.get(length).is_none_or(|next| !next.is_numeric());
    if !fits(text, DAY) || !ends(DAY.len()) {
        return None;
    }
    let timed = DAY.len() + 1 + TIME.len();
    let has_time = matches!(text.get(DAY.len()), Some('T' | ' ')) && fits(&text[DAY.len() + 1..], TIME) && ends(timed);
    if !has_time {
        return Some(DAY.len());
    }
    let fraction = text[timed..].iter().skip(1).take_while(|letter| letter.is_ascii_digit()).count();
    let has_fraction = text.get(timed) == Some(&'.') && (1..=9).contains(&fraction);
    Some(if has_fraction { timed + 1 + fraction } else { timed })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn personal_data_in_text_is_masked() {
        for (text, masked) in [
            ("asked sunita.rao@example.com twice", "asked s***@example.com twice"),
            ("<sunita@example.com>, mailto:a@b.co", "<s***@example.com>, mailto:a***@b.co"),
            ("url?email=sunita%40example.com", "url?email=s***%40example.com"),
            ("paid by 9876543341@upi", "paid by 9***@upi"),
            ("sunita@9876543341", "s***@***"),
            ("call 9876543341", "call ***"),
            ("call +91 98765-43341 now", "call +*** now"),
            ("call (0987) 654 3341", "call (***"),
            ("account 50100234567891, IFSC HDFC0001234", "account ***, IFSC HDFC***"),
            ("card 4111 1111 1111 1111", "card ***"),
            ("GB29NWBK60161331926819", "GB29NWBK***"),
            ("९८७६५४३३४१", "***"),
            (r#"{"phone":"9876543341","x":1}"#, r#"{"phone":"***","x":1}"#),
        ] {
            assert_eq!(mask_text(text), masked, "{text}");
        }
    }

    #[test]
    fn other_text_stays_readable() {
        for text in [
            "vima answered 503 after 30 s",
            "job 01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e failed",
            "job 01980111-7111-7111-9111-511111111111 failed",
            "the day 2026-01-15 (attempt 3 of 10)",
            "at 2026-01-15T10:00:00.123456Z: 1542.50 is not 1,542,500.00",
            "at 2026-01-15 10:00:00, page 12345",
            "connect to 127.0.0.1:5432",
            "pages 1 2 3 4 5 6 7 8 9 10",
            "",
        ] {
            assert_eq!(mask_text(text), text);
        }
    }

    /// The longest run of digits outside of what is recognized as an id or a time.
    fn longest_run(text: &str) -> usize {
        let characters: Vec<char> = text.chars().collect();
        let (mut index, mut run, mut longest) = (0, 0, 0);
        while index < characters.len() {
            let at_boundary = index == 0 || !characters[index - 1].is_alphanumeric();
            let rest = &characters[index..];
            if let Some(length) = at_boundary.then(|| uuid(rest).or_else(|| day(rest))).flatten() {
                (index, run) = (index + length, 0);
                continue;
            }
            run = if rest[0].is_numeric() { run + 1 } else { 0 };
            longest = longest.max(run);
            index += 1;
        }
        longest
    }

    proptest! {
        #[test]
        fn no_long_run_of_digits_and_no_address_survives(
            before in "[ a-z0-9@.,:+-]{0,12}",
            local in "[a-zA-Z][a-zA-Z0-9._+-]{3,20}",
            between in "\\PC{0,12}",
            digits in "[0-9]{6,24}",
            after in "\\PC{0,12}",
        ) {
            let text = format!("{before} {local}@example.com {between}{digits}{after}");
            let masked = mask_text(&text);
            prop_assert!(longest_run(&masked) < LONG_RUN, "{text:?} {masked:?}");
            let address = format!("{local}@");
            prop_assert!(!masked.contains(&address), "{text:?} {masked:?}");
            prop_assert_eq!(mask_text(&masked), masked.clone());
        }
    }
}
