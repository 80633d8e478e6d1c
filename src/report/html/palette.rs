//! The colours of the style sheet, held against what people can tell apart.

use std::collections::HashMap;

use super::STYLE;

const FAMILIES: [&str; 9] = ["linux", "fat", "ntfs", "apple", "unix", "volume", "swap", "optical", "unknown"];

/// What the three kinds of cones make of a colour in linear RGB: with all of them, and with one kind missing (Machado,
/// Oliveira and Fernandes, 2009, severity 1).
const SIGHTS: [(&str, [[f64; 3]; 3]); 4] = [
    ("all colours", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("no red", [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    ("no green", [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    ("no blue", [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
];

type Rgb = [f64; 3];
type Palette = HashMap<&'static str, Rgb>;

/// The colours that each `:root` names, in linear RGB: light, dark and printed.
fn palettes() -> Vec<Palette> {
    let blocks = STYLE.split(":root {").skip(1).filter_map(|block| block.split('}').next());
    let colour = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        let value = u32::from_str_radix(value.strip_suffix(';')?, 16).ok()?;
        Some((name, [16, 8, 0].map(|shift| linear(f64::from(value >> shift & 0xff) / 255.0))))
    };
    blocks.map(|block| block.lines().filter_map(colour).collect()).collect()
}

fn linear(part: f64) -> f64 {
    if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
}

fn luminance([red, green, blue]: Rgb) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// The ratio of WCAG 2.2, 1.4.3.
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    (one / other).max(other / one)
}

/// CIE L*a*b*, as a person with this sight sees the colour.
fn seen(colour: Rgb, sight: &[[f64; 3]; 3]) -> [f64; 3] {
    let times = |row: &[f64; 3]| row.iter().zip(colour).map(|(factor, part)| factor * part).sum::<f64>();
    let [red, green, blue] = sight.each_ref().map(|row| times(row).clamp(0.0, 1.0));
    let root = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.950_47);
    let y = root(luminance([red, green, blue]));
    let z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn text_and_frames_stand_out_from_what_is_behind_them() {
    let palettes = palettes();
    assert_eq!(palettes.len(), 3);
    for palette in palettes {
        for behind in ["paper", "sheet"].map(|name| palette[name]) {
            for text in ["ink", "soft", "accent", "alarm", "wait"] {
                assert!(contrast(palette[text], behind) >= 4.5, "{text}");
            }
            for frame in FAMILIES {
                assert!(contrast(palette[frame], behind) >= 3.0, "{frame}");
            }
        }
    }
}

#[test]
fn file_systems_can_be_told_apart_whatever_colours_somebody_sees() {
    for palette in palettes() {
        for (sight, matrix) in &SIGHTS {
            for (index, one) in FAMILIES.iter().enumerate() {
                for other in &FAMILIES[index + 1..] {
                    let (a, b) = (seen(palette[one], matrix), seen(palette[other], matrix));
                    let distance = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance >= 10.0, "{one} and {other} with {sight}: {distance:.1}");
                }
            }
        }
    }
}
