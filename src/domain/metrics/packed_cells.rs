//! Many cells of one UTC day in a few bytes.
//!
//! A month by the hour has tens of thousands of cells. As rows, each costs the database more to find, to add up and to send
//! than the numbers in it are worth; packed, a day is read as a whole and added up here.
//!
//! A number is a sequence of 7-bit groups, the lowest first, as in LEB128. An amount is one number made of its digits, its sign
//! and its scale, so that it is read back exactly as it was. Kinds, statuses and currencies are stored by name, once.

use rust_decimal::Decimal;

use super::cell::Measures;
use super::query::Depth;
use crate::domain::status::Status;
use crate::domain::transaction::Kind;

/// The version of the format. Days that were packed in another format are packed again.
pub const FORMAT: i16 = 2;
/// The largest scale of a decimal is 28.
const SCALE_BITS: u32 = 5;
/// The count, the amounts and the count without a rate.
const NUMBERS_PER_CELL: usize = 6;
/// The quarters of an hour of a day.
pub const QUARTERS: usize = 96;

/// The cells of one project and member, on one day of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSeries {
    pub project: String,
    pub member: String,
    pub cells: Vec<PackedCell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCell {
    /// The quarter of an hour of the day, from 0; 0 if the cell is the whole day.
    pub quarter: usize,
    pub kind: Kind,
    pub status: Status,
    pub currency: String,
    pub measures: Measures,
}

/// What cells have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<'text> {
    pub kind: Kind,
    pub status: Status,
    pub currency: &'text str,
}

impl<'text> Label<'text> {
    fn of(cell: &'text PackedCell) -> Self {
        Self { kind: cell.kind, status: cell.status, currency: &cell.currency }
    }
}

/// What packed cells are added to. It chooses once per series and once per label, since there are many more cells.
pub trait CellReceiver<'bytes> {
    type Series;
    type Label;

    /// `None` if it does not count the series.
    fn series(&mut self, project: &'bytes str, member: &'bytes str) -> Option<Self::Series>;

    /// `None` if it does not count cells with this label.
    fn label(&mut self, label: Label<'bytes>) -> Option<Self::Label>;

    /// Where to add a cell; `None` if it does not count that quarter of an hour.
    fn sum(&mut self, series: &Self::Series, label: &mut Self::Label, quarter: usize) -> Option<&mut Measures>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packed cells cannot be read: run psp-jobs enqueue rebuild-rollups")]
pub struct UnreadableCells;

/// The same series always result in the same bytes.
#[must_use]
pub fn pack(all: &[PackedSeries]) -> Vec<u8> {
    let mut labels: Vec<Label<'_>> = vec![];
    for cell in all.iter().flat_map(|series| &series.cells) {
        let label = Label::of(cell);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let mut bytes = vec![];
    push_length(&mut bytes, labels.len());
    for Label { kind, status, currency } in &labels {
        for text in [kind.as_str(), status.as_str(), currency] {
            push_text(&mut bytes, text);
        }
    }
    push_length(&mut bytes, all.len());
    for PackedSeries { project, member, cells } in all {
        push_text(&mut bytes, project);
        push_text(&mut bytes, member);
        push_length(&mut bytes, cells.len());
        for cell in cells {
            push_cell(&mut bytes, cell, &labels);
        }
    }
    bytes
}

/// Adds the measures that `depth` includes of all packed cells that `receiver` counts.
pub fn unpack<'bytes>(
    bytes: &'bytes [u8],
    depth: Depth,
    receiver: &mut impl CellReceiver<'bytes>,
) -> Result<(), UnreadableCells> {
    add_all(Reader(bytes), depth, receiver).ok_or(UnreadableCells)
}

fn add_all<'bytes>(mut reader: Reader<'bytes>, depth: Depth, receiver: &mut impl CellReceiver<'bytes>) -> Option<()> {
    let mut labels = vec![];
    for _ in 0..reader.length()? {
        labels.push(receiver.label(reader.label()?));
    }
    for _ in 0..reader.length()? {
        let (project, member, count) = (reader.text()?, reader.text()?, reader.length()?);
        let series = receiver.series(project, member);
        for _ in 0..count {
            let quarter = reader.length().filter(|quarter| *quarter < QUARTERS)?;
            let label = labels.get_mut(reader.length()?)?;
            let counted = series.as_ref().zip(label.as_mut());
            match counted.and_then(|(series, label)| receiver.sum(series, label, quarter)) {
                Some(sum) => reader.add_measures(sum, depth)?,
                None => reader.skip(NUMBERS_PER_CELL)?,
            }
        }
    }
    reader.0.is_empty().then_some(())
}

fn push_cell(bytes: &mut Vec<u8>, cell: &PackedCell, labels: &[Label<'_>]) {
    let measures = &cell.measures;
    push_length(bytes, cell.quarter);
    // Every cell has one of the labels.
    push_length(bytes, labels.iter().position(|label| *label == Label::of(cell)).unwrap_or_default());
    push_number(bytes, zigzag(measures.count.into()));
    push_number(bytes, zigzag(measures.usd_missing.into()));
    for amount in [measures.amount, measures.amount_usd, measures.fee, measures.fee_usd] {
        push_number(bytes, zigzag(amount.mantissa()) << SCALE_BITS | u128::from(amount.scale()));
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn push_length(bytes: &mut Vec<u8>, length: usize) {
    push_number(bytes, length as u128);
}

fn push_number(bytes: &mut Vec<u8>, mut number: u128) {
    let group = |number: u128| u8::try_from(number & 0x7f).unwrap_or_default();
    while number >= 0x80 {
        bytes.push(group(number) | 0x80);
        number >>= 7;
    }
    bytes.push(group(number));
}

/// Small numbers for small magnitudes of either sign. A decimal has 96 bits, so neither this nor its scale overflows.
fn zigzag(number: i128) -> u128 {
    (number << 1 ^ number >> 127).cast_unsigned()
}

fn unzigzag(number: u128) -> i128 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

struct Reader<'bytes>(&'bytes [u8]);

impl<'bytes> Reader<'bytes> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of up to 56 bits, as nearly all are, whose groups are joined at once instead of one after another. `None` if it is
    /// larger or near the end of the bytes; then nothing is read.
    fn short_number(&mut self) -> Option<u64> {
        let bytes = u64::from_le_bytes(*self.0.first_chunk()?);
        let ends = !bytes & 0x8080_8080_8080_8080;
        if ends == 0 {
            return None;
        }
        self.0 = self.0.get(ends.trailing_zeros() as usize / 8 + 1..)?;
        let groups = bytes & (ends ^ (ends - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
        let pairs = groups & 0x007f_007f_007f_007f | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        Some(fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4)
    }

    fn long_number(&mut self) -> Option<u128> {
        let mut number = 0;
        for group in 0..18 {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn number(&mut self) -> Option<u128> {
        self.short_number().map(u128::from).or_else(|| self.long_number())
    }

    fn length(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn skip(&mut self, numbers: usize) -> Option<()> {
        (0..numbers).try_for_each(|_| self.number().map(drop))
    }

    fn text(&mut self) -> Option<&'bytes str> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn integer(&mut self) -> Option<i64> {
        unzigzag(self.number()?).try_into().ok()
    }

    fn amount(&mut self) -> Option<Decimal> {
        let number = self.number()?;
        let scale = u32::try_from(number & ((1 << SCALE_BITS) - 1)).ok()?;
        Decimal::try_from_i128_with_scale(unzigzag(number >> SCALE_BITS), scale).ok()
    }

    fn label(&mut self) -> Option<Label<'bytes>> {
        let (kind, status) = (Kind::from_name(self.text()?)?, Status::from_name(self.text()?)?);
        Some(Label { kind, status, currency: self.text()? })
    }

    /// In the order of [`push_cell`]. `None` also if a sum is too large for a decimal.
    fn add_measures(&mut self, sum: &mut Measures, depth: Depth) -> Option<()> {
        sum.count = sum.count.checked_add(self.integer()?)?;
        if depth < Depth::Amounts {
            return self.skip(NUMBERS_PER_CELL - 1);
        }
        sum.usd_missing = sum.usd_missing.checked_add(self.integer()?)?;
        sum.amount = sum.amount.checked_add(self.amount()?)?;
        sum.amount_usd = sum.amount_usd.checked_add(self.amount()?)?;
        if depth < Depth::Fees {
            return self.skip(2);
        }
        sum.fee = sum.fee.checked_add(self.amount()?)?;
        sum.fee_usd = sum.fee_usd.checked_add(self.amount()?)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts() -> impl Strategy<Value = Decimal> {
        let largest = Decimal::MAX.mantissa();
        (prop_oneof![-10_000..10_000_i128, -largest..=largest], 0..=28_u32)
            .prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale))
    }

    fn cells() -> impl Strategy<Value = PackedCell> {
        let counts = (any::<i64>(), 0..200_i64);
        let kinds = (0..Kind::ALL.len(), 0..Status::ALL.len(), "[A-C]{3}");
        (0..QUARTERS, kinds, counts, proptest::array::uniform4(amounts())).prop_map(
            |(quarter, (kind, status, currency), (count, usd_missing), [amount, amount_usd, fee, fee_usd])| {
                PackedCell {
                    quarter,
                    kind: Kind::ALL[kind],
                    status: Status::ALL[status],
                    currency,
                    measures: Measures { count, amount, amount_usd, fee, fee_usd, usd_missing },
                }
            },
        )
    }

    fn all_series() -> impl Strategy<Value = Vec<PackedSeries>> {
        let series = (".{0,3}", ".{0,200}", proptest::collection::vec(cells(), 0..5));
        let series = series.prop_map(|(project, member, cells)| PackedSeries { project, member, cells });
        proptest::collection::vec(series, 0..4)
    }

    /// Receives the series whose project `chosen` accepts, as they were packed.
    struct Collected<Chosen> {
        chosen: Chosen,
        all: Vec<PackedSeries>,
    }

    impl<'bytes, Chosen: Fn(&str) -> bool> CellReceiver<'bytes> for Collected<Chosen> {
        type Series = usize;
        type Label = Label<'bytes>;

        fn series(&mut self, project: &'bytes str, member: &'bytes str) -> Option<usize> {
            (self.chosen)(project).then(|| {
                let (project, member) = (project.to_owned(), member.to_owned());
                self.all.push(PackedSeries { project, member, cells: vec![] });
                self.all.len() - 1
            })
        }

        fn label(&mut self, label: Label<'bytes>) -> Option<Label<'bytes>> {
            Some(label)
        }

        fn sum(&mut self, series: &usize, label: &mut Label<'bytes>, quarter: usize) -> Option<&mut Measures> {
            let Label { kind, status, currency } = *label;
            let cells = &mut self.all[*series].cells;
            let (currency, measures) = (currency.to_owned(), Measures::default());
            cells.push(PackedCell { quarter, kind, status, currency, measures });
            cells.last_mut().map(|cell| &mut cell.measures)
        }
    }

    fn unpacked(bytes: &[u8], chosen: impl Fn(&str) -> bool) -> Result<Vec<PackedSeries>, UnreadableCells> {
        let mut collected = Collected { chosen, all: vec![] };
        unpack(bytes, Depth::Fees, &mut collected)?;
        Ok(collected.all)
    }

    proptest! {
        #[test]
        fn cells_are_read_as_they_were_packed(all in all_series()) {
            let read = unpacked(&pack(&all), |_| true).expect("readable");
            prop_assert_eq!(&read, &all);
            // Equal decimals may have different scales.
            for (read, packed) in read.iter().flat_map(|one| &one.cells).zip(all.iter().flat_map(|one| &one.cells)) {
                prop_assert_eq!(read.measures.amount.scale(), packed.measures.amount.scale());
            }
        }

        #[test]
        fn only_chosen_series_are_read(all in all_series()) {
            let read = unpacked(&pack(&all), |project| project.len() == 1).expect("readable");
            let chosen: Vec<PackedSeries> = all.into_iter().filter(|series| series.project.len() == 1).collect();
            prop_assert_eq!(read, chosen);
        }

        #[test]
        fn damaged_cells_are_an_error_or_other_cells_but_no_panic(all in all_series(), cut in 0..400_usize, byte in any::<u8>()) {
            let mut bytes = pack(&all);
            let cut = cut % bytes.len();
            prop_assert_eq!(unpacked(&bytes[..cut], |_| true), Err(UnreadableCells));
            bytes[cut] = byte;
            let _ = unpacked(&bytes, |_| true);
        }
    }
}
