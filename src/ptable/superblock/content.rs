//! Name, label and UUID of a volume.

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// `libblkid`'s TYPE: `ext4`, `vfat`, `LVM2_member`, ...
    pub name: &'static str,
    /// Its label, where it has one that could be read. Untrusted: it may hold control characters.
    pub label: Option<String>,
    /// Its UUID, or what its kind has instead, as `blkid` spells it.
    pub uuid: Option<String>,
}

impl Content {
    pub(super) fn new(name: &'static str) -> Content {
        Content { name, label: None, uuid: None }
    }

    pub(super) fn label(self, label: Option<String>) -> Content {
        Content { label, ..self }
    }

    pub(super) fn uuid(self, uuid: Option<String>) -> Content {
        Content { uuid, ..self }
    }
}
