//! What is known of the archives' checksums, with one look at each file.

use std::collections::{BTreeMap, HashMap};

use crate::account::Verification;
use crate::log::Name;
use crate::report::Report;

/// The last verification of each archive, and its state.
pub struct Verified<'a> {
    /// By hash.
    pub of: HashMap<&'a Name, (&'a Verification, &'static str)>,
}

impl<'a> Verified<'a> {
    /// Those that `report` knows of.
    pub fn of(report: &'a Report) -> Verified<'a> {
        let all = report.account.verifications.sorted().into_iter();
        Verified { of: all.map(|each| (&each.record.hash, (each, each.state()))).collect() }
    }

    /// The state of the archive of that hash; none if it was never verified.
    pub fn state(&self, hash: &Name) -> Option<&'static str> {
        self.of.get(hash).map(|&(_, state)| state)
    }

    /// The verifications in one state, by hash.
    pub fn in_state(&self, wanted: &str) -> Vec<&'a Verification> {
        let in_state = self.of.iter().filter(|&(_, &(_, state))| state == wanted);
        let by_hash: BTreeMap<&Name, &'a Verification> = in_state.map(|(&hash, &(each, _))| (hash, each)).collect();
        by_hash.into_values().collect()
    }

    /// How many are in one of these states.
    pub fn count(&self, states: &[&str]) -> u64 {
        self.of.values().filter(|(_, state)| states.contains(state)).count() as u64
    }
}
