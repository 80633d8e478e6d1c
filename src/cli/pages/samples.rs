//! Files to begin with. The package has them as examples, and the pages that they belong to show them.

use clap_mangen::roff::{Roff, roman};

/// A file to begin with.
pub struct Sample {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, or where it goes.
    place: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// What runs imgsieve at its times, and looks after its log.
pub const SCHEDULE: [Sample; 4] = [
    Sample { name: "logrotate", place: "/etc/logrotate.d/imgsieve", text: include_str!("../samples/logrotate") },
    Sample { name: "cron", place: "/etc/cron.d/imgsieve", text: include_str!("../samples/cron") },
    Sample {
        name: "imgsieve.service",
        place: "/etc/systemd/system/imgsieve.service",
        text: include_str!("../samples/imgsieve.service"),
    },
    Sample {
        name: "imgsieve.timer",
        place: "/etc/systemd/system/imgsieve.timer",
        text: include_str!("../samples/imgsieve.timer"),
    },
];

/// What runs shards, and what reads all their logs.
pub const SHARDS: [Sample; 5] = [
    Sample { name: "slurm", place: "Slurm: slurm", text: include_str!("../samples/slurm") },
    Sample { name: "parallel", place: "GNU parallel: parallel", text: include_str!("../samples/parallel") },
    Sample {
        name: "kubernetes.yaml",
        place: "Kubernetes: kubernetes.yaml",
        text: include_str!("../samples/kubernetes.yaml"),
    },
    Sample { name: "Snakefile", place: "Snakemake: Snakefile", text: include_str!("../samples/Snakefile") },
    Sample { name: "survey.sql", place: "DuckDB: survey.sql", text: include_str!("../samples/survey.sql") },
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Sample> {
    SHARDS.iter().chain(&SCHEDULE)
}

/// Shows them as the examples of a page.
pub(super) fn show(roff: &mut Roff, samples: &[Sample]) {
    roff.control("SH", ["EXAMPLES"]);
    for sample in samples {
        roff.control("SS", [sample.place]);
        roff.control("EX", []);
        for line in sample.text.lines() {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
    }
}
