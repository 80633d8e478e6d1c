//! imgsieve surveys a cold-storage collection of `.tar.zst` archives of disk images, reads the partition table of every
//! image without extracting it, and stages only the images with two or more partitions.

pub mod cause;
pub mod config;
pub mod control;
pub mod event;
pub mod exit;
pub mod finding;
pub mod inspect;
pub mod journal;
pub mod member;
pub mod progress;
pub mod ptable;
pub mod rescue;
pub mod sanitize;
pub mod scan;
pub mod staging;
pub mod summary;
pub mod units;
pub mod zst;
