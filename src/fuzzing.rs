//! Campaigns of damaged inputs, for whatever reads bytes that strangers send.
//!
//! cargo-fuzz was rejected: it needs a compiler that the project does not use. These campaigns know no coverage, but they start
//! from valid inputs and run with all other tests: a few thousand inputs with a fixed seed, or minutes with a new seed
//! (`make test-long`). A failure prints its input and its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const INPUTS: usize = 2_000;
const LONG: Duration = Duration::from_mins(2);
/// Longer inputs only take longer.
const MAX_BYTES: usize = 64 << 10;

/// What parsers tend to get wrong.
const WORDS: [&str; 24] = [
    "[",
    "{\"a\":",
    "]",
    "}",
    "\"",
    "\\",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "%00",
    "%ff",
    "%",
    "&",
    "=",
    "+",
    ";",
    "'",
    "-",
    "1e400",
    "99999999999999999999",
    "NaN",
    "\r\n",
    "ß",
];

/// Calls `check` with damaged forms of `examples`, which panics if something is wrong.
pub(crate) fn campaign(name: &str, examples: &[&[u8]], check: impl Fn(&[u8])) {
    #[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses how long they take")]
    let is_long = std::env::var("PSP_TEST_LONG").is_ok_and(|long| long == "1");
    let seed = if is_long { rand::random() } else { 7 };
    let mut rng = StdRng::seed_from_u64(seed);
    let started = Instant::now();
    for number in 0.. {
        let is_over = if is_long { started.elapsed() > LONG } else { number == INPUTS };
        if is_over {
            return;
        }
        let mut input = examples[rng.random_range(0..examples.len())].to_vec();
        for _ in 0..rng.random_range(1..8) {
            damage(&mut input, examples, &mut rng);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&input))) {
            eprintln!("{name}: input {number} of seed {seed}: {:?}", String::from_utf8_lossy(&input));
            resume_unwind(panic);
        }
    }
}

fn damage(input: &mut Vec<u8>, examples: &[&[u8]], rng: &mut StdRng) {
    let at = rng.random_range(0..=input.len());
    let end = rng.random_range(at..=input.len().min(at + 300));
    match rng.random_range(0..8) {
        0 | 1 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        2 => drop(input.drain(at..end)),
        3 => {
            let repeated = input[at..end].to_vec();
            input.splice(at..at, repeated);
        }
        4 => {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            input.splice(at..end, word.bytes());
        }
        5 => {
            let word = WORDS[rng.random_range(0..WORDS.len())].repeat(rng.random_range(1..3_000));
            input.splice(at..at, word.bytes());
        }
        6 => {
            let other = examples[rng.random_range(0..examples.len())];
            let from = rng.random_range(0..=other.len());
            input.truncate(at);
            input.extend(&other[from..]);
        }
        _ => {
            let bytes: Vec<u8> = (0..rng.random_range(1..20)).map(|_| rng.random()).collect();
            input.splice(at..at, bytes);
        }
    }
    input.truncate(MAX_BYTES);
}
