//! PAX extended headers: records parsed by their lengths.
//!
//! A value may hold newlines and look like another record, so only the length says where a record ends (POSIX.1-2017 pax,
//! "pax Extended Header"). Only the records that say what a member is called and where its data is are kept.

use super::error::{Error, PaxProblem};
use super::header::{in_range, until_nul};
use super::sparse::MAX_SEGMENTS;

/// The largest `path` or `linkpath` in a global header, in bytes: it is copied for every member.
const MAX_GLOBAL_NAME: usize = 64 << 10;
/// How much of a value that is not a number is shown, in bytes.
const SHOWN: usize = 32;

/// A record's value: an empty one deletes what a global header said (POSIX.1-2017 pax, "pax Extended Header").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Value<T> {
    #[default]
    Absent,
    Deleted,
    Given(T),
}

impl<T> Value<T> {
    /// This value, or a global one where this header says nothing.
    pub(super) fn or<'a>(&'a self, global: &'a Self) -> Option<&'a T> {
        match (self, global) {
            (Self::Given(value), _) | (Self::Absent, Self::Given(value)) => Some(value),
            _ => None,
        }
    }

    /// This value, whatever a global header says.
    pub(super) fn own(&self) -> Option<&T> {
        self.or(&Self::Absent)
    }
}

/// What one or more extended headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub path: Value<Vec<u8>>,
    pub linkpath: Value<Vec<u8>>,
    pub size: Value<u64>,
    pub sparse: Sparse,
    /// How many bytes the records come to, those of sparse maps left out.
    pub small_bytes: u64,
}

/// The `GNU.sparse` records (GNU tar manual, "Storing Sparse Files").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    pub major: Value<u64>,
    pub minor: Value<u64>,
    pub name: Value<Vec<u8>>,
    /// `GNU.sparse.size` (0.0 and 0.1) or `GNU.sparse.realsize` (1.0).
    pub real_size: Value<u64>,
    pub numblocks: Value<u64>,
    /// Offset and length of each segment, from `GNU.sparse.map` (0.1) or from `offset` and `numbytes` (0.0).
    pub map: Vec<(u64, u64)>,
    /// Whether a map was given, if only an empty one.
    pub has_map: bool,
    /// An `offset` that waits for its `numbytes`.
    half: Option<u64>,
}

/// Whose records they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The next member's (`x`).
    Member,
    /// Those of all members that follow (`g`).
    Global,
}

struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
    len: usize,
}

impl Records {
    /// Takes in the records of one extended header, whose body begins at `offset` of the archive. A later record replaces an earlier one.
    /// On an error what could be read stands: all records before a malformed one; all the others, where only a value is bad.
    pub(super) fn read(&mut self, body: &[u8], offset: u64, scope: Scope) -> Result<(), Error> {
        let mut first_problem = None;
        let mut at = 0;
        while let Some(rest) = body.get(at..) {
            let here = offset.saturating_add(at as u64);
            let error = |problem| Error::PaxRecord { offset: here, path: Vec::new(), problem };
            match record(rest) {
                Ok(None) => break,
                Ok(Some(record)) => {
                    if let Err(problem) = self.take(&record, scope) {
                        first_problem.get_or_insert(error(problem));
                    }
                    at += record.len;
                }
                Err(problem) => {
                    first_problem.get_or_insert(error(problem));
                    break;
                }
            }
        }
        if self.sparse.half.take().is_some() {
            let problem = PaxProblem::HalfSegment;
            first_problem.get_or_insert(Error::PaxRecord { offset, path: Vec::new(), problem });
        }
        first_problem.map_or(Ok(()), Err)
    }

    fn take(&mut self, record: &Record<'_>, scope: Scope) -> Result<(), PaxProblem> {
        let &Record { key, value, len } = record;
        if !matches!(key, b"GNU.sparse.map" | b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            self.small_bytes = self.small_bytes.saturating_add(len as u64);
        }
        match key {
            b"path" => self.path = name(value, "path", scope)?,
            b"linkpath" => self.linkpath = name(value, "linkpath", scope)?,
            b"size" => self.size = decimal(value, "size")?,
            _ if key.starts_with(b"GNU.sparse.") && scope == Scope::Global => {
                return Err(PaxProblem::Global { key: "GNU.sparse" });
            }
            _ => self.sparse.take(key, value)?,
        }
        Ok(())
    }
}

impl Sparse {
    /// Whether the records say that the member is sparse.
    pub(super) fn is_sparse(&self) -> bool {
        self.has_map || self.real_size.own().is_some() || self.major.own().is_some_and(|&major| major > 0)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), PaxProblem> {
        match key {
            b"GNU.sparse.major" => self.major = decimal(value, "GNU.sparse.major")?,
            b"GNU.sparse.minor" => self.minor = decimal(value, "GNU.sparse.minor")?,
            b"GNU.sparse.name" => self.name = name(value, "GNU.sparse.name", Scope::Member)?,
            b"GNU.sparse.size" => self.real_size = decimal(value, "GNU.sparse.size")?,
            b"GNU.sparse.realsize" => self.real_size = decimal(value, "GNU.sparse.realsize")?,
            b"GNU.sparse.numblocks" => {
                self.numblocks = decimal(value, "GNU.sparse.numblocks")?;
                self.start_map();
            }
            b"GNU.sparse.offset" => {
                let offset = number(value, "GNU.sparse.offset")?;
                self.has_map = true;
                if self.half.replace(offset).is_some() {
                    return Err(PaxProblem::HalfSegment);
                }
            }
            b"GNU.sparse.numbytes" => {
                let len = number(value, "GNU.sparse.numbytes")?;
                let offset = self.half.take().ok_or(PaxProblem::HalfSegment)?;
                self.push(offset, len)?;
            }
            b"GNU.sparse.map" => {
                self.start_map();
                let mut numbers = value.split(|&byte| byte == b',').filter(|_| !value.is_empty());
                while let Some(offset) = numbers.next() {
                    let len = numbers.next().ok_or(PaxProblem::HalfSegment)?;
                    self.push(number(offset, "GNU.sparse.map")?, number(len, "GNU.sparse.map")?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A map begins: what a duplicate of it said before is void (GNU tar, xheader.c, `sparse_numblocks_decoder`, `sparse_map_decoder`).
    fn start_map(&mut self) {
        self.map.clear();
        self.half = None;
        self.has_map = true;
    }

    fn push(&mut self, offset: u64, len: u64) -> Result<(), PaxProblem> {
        if self.map.len() >= MAX_SEGMENTS {
            return Err(PaxProblem::TooManySegments { limit: MAX_SEGMENTS });
        }
        self.map.push((offset, len));
        Ok(())
    }
}

/// The record at the beginning of `body`, `None` where no more follows: at the end, or at a NUL, which GNU tar takes for padding
/// (xheader.c, `decode_record`; its tolerance of blanks around the length is kept, too).
fn record(body: &[u8]) -> Result<Option<Record<'_>>, PaxProblem> {
    let blanks = |bytes: &[u8]| bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let start = blanks(body);
    let digits = body.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return match body.get(start) {
            None | Some(0) => Ok(None),
            Some(_) => Err(PaxProblem::NoLength),
        };
    }
    let after = start + digits;
    let length = body.get(start..after).and_then(parse_decimal).unwrap_or(u64::MAX);
    let whole = usize::try_from(length).ok().and_then(|len| body.get(..len));
    let whole = whole.ok_or(PaxProblem::PastEnd { length, left: body.len() as u64 })?;
    let gap = blanks(body.get(after..).unwrap_or_default());
    if gap == 0 {
        return Err(PaxProblem::NoLength);
    }
    let pair = whole.get(after + gap..).ok_or(PaxProblem::NoEqualSign)?;
    let equal = pair.iter().position(|&byte| byte == b'=').ok_or(PaxProblem::NoEqualSign)?;
    let (key, value) = (pair.get(..equal).unwrap_or_default(), pair.get(equal + 1..).unwrap_or_default());
    let value = value.strip_suffix(b"\n").ok_or(PaxProblem::NoNewline)?;
    Ok(Some(Record { key, value, len: whole.len() }))
}

/// A name: as GNU tar and bsdtar, the bytes before a NUL.
fn name(value: &[u8], key: &'static str, scope: Scope) -> Result<Value<Vec<u8>>, PaxProblem> {
    if scope == Scope::Global && value.len() > MAX_GLOBAL_NAME {
        return Err(PaxProblem::Global { key });
    }
    Ok(if value.is_empty() { Value::Deleted } else { Value::Given(until_nul(value).to_vec()) })
}

fn decimal(value: &[u8], key: &'static str) -> Result<Value<u64>, PaxProblem> {
    if value.is_empty() { Ok(Value::Deleted) } else { number(value, key).map(Value::Given) }
}

fn number(value: &[u8], key: &'static str) -> Result<u64, PaxProblem> {
    let shown = || value.get(..SHOWN).unwrap_or(value).to_vec();
    parse_decimal(value).ok_or_else(|| PaxProblem::BadNumber { key, value: shown() })
}

/// A decimal number up to 2^63 - 1, of digits alone.
pub(super) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    let step = |value: u64, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, step).filter(|&value| in_range(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> (Records, Option<PaxProblem>) {
        let mut records = Records::default();
        let problem = match records.read(body, 0, Scope::Member) {
            Ok(()) => None,
            Err(Error::PaxRecord { problem, .. }) => Some(problem),
            Err(other) => panic!("{other}"),
        };
        (records, problem)
    }

    #[test]
    fn a_value_with_a_newline_does_not_hide_the_next_record() {
        let (records, problem) = read(b"35 SCHILY.xattr.user.a=x\n9 size=1\n\n12 size=700\n");
        assert_eq!((records.size, problem), (Value::Given(700), None));
    }

    #[test]
    fn the_last_duplicate_wins_and_an_empty_value_deletes() {
        let (records, _) = read(b"9 size=1\n9 size=2\n9 path=a\n8 path=\n");
        assert_eq!((records.size, records.path), (Value::Given(2), Value::Deleted));
    }

    #[test]
    fn a_deleted_value_hides_the_global_one() {
        let global = Value::Given(1);
        assert_eq!(Value::Absent.or(&global), Some(&1));
        assert_eq!(Value::Deleted.or(&global), None);
        assert_eq!(Value::Given(2).or(&global), Some(&2));
    }

    #[test]
    fn malformed_records_are_told_apart_and_what_came_before_stands() {
        for (bad, expected) in [
            (&b"x size=1\n"[..], PaxProblem::NoLength),
            (b"9size=10\n", PaxProblem::NoLength),
            (b"0 size=1\n", PaxProblem::NoEqualSign),
            (b"2 size=1\n", PaxProblem::NoEqualSign),
            (b"8 size=1\n", PaxProblem::NoNewline),
            (b"11 size=1\n", PaxProblem::PastEnd { length: 11, left: 10 }),
            (b"99999999999999999999999 size=1\n", PaxProblem::PastEnd { length: u64::MAX, left: 31 }),
            (b"9 size+1\n", PaxProblem::NoEqualSign),
            (b"9 size=a\n", PaxProblem::BadNumber { key: "size", value: b"a".to_vec() }),
            (b"11 size=-1\n", PaxProblem::BadNumber { key: "size", value: b"-1".to_vec() }),
            (
                b"28 size=9223372036854775808\n",
                PaxProblem::BadNumber { key: "size", value: b"9223372036854775808".to_vec() },
            ),
            (b"24 GNU.sparse.numbytes=1\n", PaxProblem::NoNewline),
            (b"25 GNU.sparse.numbytes=1\n", PaxProblem::HalfSegment),
            (b"23 GNU.sparse.offset=1\n", PaxProblem::HalfSegment),
            (b"24 GNU.sparse.map=1,2,3\n", PaxProblem::HalfSegment),
        ] {
            let (records, problem) = read(&[b"9 size=7\n", bad].concat());
            assert_eq!((problem, records.size), (Some(expected), Value::Given(7)), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn nuls_after_the_last_record_are_padding() {
        let (records, problem) = read(b"9 size=1\n\0\0\0");
        assert_eq!((records.size, problem), (Value::Given(1), None));
    }

    #[test]
    fn both_kinds_of_sparse_map_are_read_and_a_later_one_replaces_the_first() {
        let pairs = b"26 GNU.sparse.numblocks=1\n23 GNU.sparse.offset=5\n25 GNU.sparse.numbytes=6\n";
        let map = b"26 GNU.sparse.map=1,2,3,4\n";
        assert_eq!(read(pairs).0.sparse.map, [(5, 6)]);
        assert_eq!(read(map).0.sparse.map, [(1, 2), (3, 4)]);
        assert_eq!(read(&[&pairs[..], map].concat()).0.sparse.map, [(1, 2), (3, 4)]);
        assert_eq!(read(&[&map[..], pairs].concat()).0.sparse.map, [(5, 6)]);
    }

    #[test]
    fn a_sparse_map_in_a_global_header_is_refused() {
        let mut records = Records::default();
        let error = records.read(b"22 GNU.sparse.map=1,2\n12 size=100\n", 0, Scope::Global);
        assert!(matches!(error, Err(Error::PaxRecord { problem: PaxProblem::Global { .. }, .. })));
        assert!(!records.sparse.is_sparse());
        assert_eq!(records.size, Value::Given(100));
    }

    #[test]
    fn map_records_do_not_count_as_small() {
        let (records, _) = read(b"24 GNU.sparse.map=1,2,3\n9 size=1\n");
        assert_eq!(records.small_bytes, 9);
    }
}
