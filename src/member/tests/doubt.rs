//! Archives that first give bytes that are wrong, and the right ones once they are distrusted.

use super::*;

/// An archive as it seems, and as it is.
struct Doubtful {
    seeming: Vec<u8>,
    real: Vec<u8>,
    is_distrusted: Cell<bool>,
}

impl ReadAt for Doubtful {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = if self.is_distrusted.get() { &self.real } else { &self.seeming };
        bytes.read_at(pos, buf)
    }
}

impl Archive for Doubtful {
    fn distrust(&self) -> bool {
        !self.is_distrusted.replace(true)
    }
}

fn walked_in_doubt(seeming: Vec<u8>, real: &[u8]) -> Vec<String> {
    walked(&Doubtful { seeming, real: real.to_vec(), is_distrusted: Cell::new(false) })
}

/// A good archive with extension headers, and the blocks of it that are bodies of those.
fn archive() -> (Vec<u8>, Vec<usize>) {
    let parts = [
        member("x", b'g', record("comment", "all").as_bytes()),
        member("first", b'0', &[b'1'; 3000]),
        pax(&[("path", "second")]),
        member("long", b'L', b"another name\0"),
        member("s", b'0', &[b'2'; 700]),
        member("third", b'0', &[b'3'; 2048]),
        vec![0; 20 * 512],
    ];
    let mut bodies = Vec::new();
    let mut blocks = 0;
    for part in &parts {
        if matches!(part[156], b'g' | b'x' | b'L') {
            bodies.push(blocks + 1);
        }
        blocks += part.len() / 512;
    }
    (parts.concat(), bodies)
}

#[test]
fn what_seems_odd_is_looked_at_again_from_the_first_header_of_the_member() {
    let (real, bodies) = archive();
    let expected = ["first file 3000", "second file 700", "third file 2048"];
    assert_eq!(walked(&real), expected);
    for block in 0..real.len() / 512 {
        let (from, to) = (block * 512, block * 512 + 512);
        let shifted = [&real[..from], &real[to..]].concat();
        let doubled = [&real[..to], &real[from..]].concat();
        let cut = real[..from].to_vec();
        for (what, seeming) in [("shifted", shifted), ("doubled", doubled), ("cut", cut)] {
            assert_eq!(walked_in_doubt(seeming, &real), expected, "{what} at block {block}");
        }
        // The body of an extension header has no checksum of its own.
        if !bodies.contains(&block) {
            for fill in [0, 0xAA] {
                let mut seeming = real.clone();
                seeming[from..to].fill(fill);
                assert_eq!(walked_in_doubt(seeming, &real), expected, "{fill} in block {block}");
            }
        }
    }
}

#[test]
fn what_is_odd_in_truth_is_told_once() {
    let (good, _) = archive();
    let bad = [&good[..512 * 2], &[0xAA; 512], &good[512 * 3..]].concat();
    let cut = good[..512 * 7].to_vec();
    let joined = [good.clone(), member("fourth", b'0', b"4"), END.to_vec()].concat();
    let garbage = [good.clone(), vec![0xAA; 512]].concat();
    for real in [bad, cut, joined, garbage] {
        let expected = walked(&real);
        assert!(expected.len() > 1 && expected != walked(&good), "{expected:?}");
        assert_eq!(walked_in_doubt(real.clone(), &real), expected);
        assert_eq!(walked_in_doubt(good.clone(), &good), walked(&good));
        let mut seeming = real.clone();
        seeming[..512].fill(0xAA);
        assert_eq!(walked_in_doubt(seeming, &real), expected);
    }
}

#[test]
fn a_global_header_that_is_looked_at_again_leaves_nothing_behind() {
    let global = |size: &str| member("g", b'g', record("size", size).as_bytes());
    let after = [member("a", b'0', b"1"), END.to_vec()].concat();
    let real = [global("1"), after.clone()].concat();
    // The record that seems to be there is a good one; what makes the header odd comes after it.
    let mut seeming = real.clone();
    let records = [record("size", "0"), "9 nonsense".to_owned()].concat();
    seeming[512..512 + records.len()].copy_from_slice(records.as_bytes());
    seeming[..512].copy_from_slice(&header("g", b'g', records.len() as u64));
    assert_eq!(walked_in_doubt(seeming, &real), walked(&real));
}
