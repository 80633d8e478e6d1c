//! Partition tables of any image: no panic, and few reads.

#![no_main]

#[path = "../src/tables.rs"]
mod tables;

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::read(input));
