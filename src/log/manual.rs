//! What the log's manual page says: read off the source of [`record`](super::record), whose docs are the format's.

use super::record::Record;

/// The types of the lines.
const SOURCE: &str = concat!(
    include_str!("record.rs"),
    include_str!("record/run.rs"),
    include_str!("record/archive.rs"),
    include_str!("record/image.rs"),
    include_str!("record/staged.rs"),
);
/// Objects and elements of lists, by the fields that hold them.
const OBJECTS: [(&str, &str); 6] = [
    ("files", "LeftOutFile"),
    ("left_out", "MembersLeftOut"),
    ("rules", "Rules"),
    ("table", "Table"),
    ("damage", "Damage"),
    ("partition_list", "Partition"),
];

/// A field, or several that go together: its name and what it means.
pub type Field = (String, String);

/// A stage, when its line is written, and its fields in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The value of `stage`.
    pub name: &'static str,
    /// When it is written.
    pub when: &'static str,
    /// The fields between `stage` and `run`.
    pub fields: Vec<Field>,
}

/// The stages, in the order of [`Record::STAGES`].
#[must_use]
pub fn stages() -> Vec<Stage> {
    let of_stage = |&(name, when): &(&'static str, &'static str)| {
        let fields = type_of_stage(name).map(fields).unwrap_or_default();
        Stage { name, when: when.trim(), fields }
    };
    Record::STAGES.iter().map(of_stage).collect()
}

/// The objects in fields of lines, each with the name of the field and its own fields.
#[must_use]
pub fn objects() -> Vec<(&'static str, Vec<Field>)> {
    OBJECTS.map(|(field, name)| (field, fields(name))).to_vec()
}

/// The name of the type whose lines have this stage: `ScriptStart = "script_start",`.
fn type_of_stage(stage: &str) -> Option<&'static str> {
    let value = format!("= \"{stage}\",");
    SOURCE.lines().find_map(|line| line.trim().strip_suffix(value.as_str()).map(str::trim))
}

/// The fields of a struct, those of structs that are flattened into it in their place.
fn fields(name: &str) -> Vec<Field> {
    let alias = format!("pub type {name} = ");
    if let Some(other) = SOURCE.lines().find_map(|line| line.strip_prefix(alias.as_str())?.strip_suffix(';')) {
        return fields(other);
    }
    let start = format!("pub struct {name} {{");
    let body = SOURCE.lines().skip_while(|line| *line != start).skip(1).take_while(|line| *line != "}");
    let (mut found, mut meaning, mut attributes) = (Vec::new(), String::new(), String::new());
    for line in body.map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            let space = if meaning.is_empty() { "" } else { " " };
            meaning.extend([space, doc]);
        } else if line.starts_with("#[") {
            attributes.push_str(line);
        } else if let Some((field, kind)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            let kind = kind.trim_end_matches(',').trim_start_matches("Option<").trim_end_matches('>');
            let (meaning, attributes) = (std::mem::take(&mut meaning), std::mem::take(&mut attributes));
            match (value_of(&attributes, "with = \"name::"), value_of(&attributes, "rename = \"")) {
                _ if attributes.contains("(skip)") => {}
                (Some(codec), _) => found.push((codec.trim_end_matches("::optional").to_owned(), meaning)),
                (None, Some(renamed)) => found.push((renamed.to_owned(), meaning)),
                (None, None) if attributes.contains("(flatten)") => found.extend(fields(kind)),
                (None, None) => found.push((field.to_owned(), meaning)),
            }
        }
    }
    found
}

/// What stands behind `key` in an attribute, up to the next quote.
fn value_of<'a>(attributes: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = attributes.split_once(key)?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &[Field]) -> Vec<&str> {
        fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn every_field_of_every_stage_has_a_meaning() {
        for stage in stages() {
            assert!(!stage.when.is_empty() && !stage.fields.is_empty(), "{}", stage.name);
            assert!(
                stage.fields.iter().all(|(name, meaning)| !name.is_empty() && meaning.ends_with(['.', ')'])),
                "{stage:?}"
            );
        }
        for (field, object) in objects() {
            assert!(!object.is_empty() && object.iter().all(|(_, meaning)| meaning.ends_with('.')), "{field}");
        }
    }

    #[test]
    fn names_flattened_structs_and_renamed_fields_are_as_the_log_has_them() {
        let of = |name: &str| stages().into_iter().find(|stage| stage.name == name).expect("a stage").fields;
        assert_eq!(names(&of("img_found")), ["hash", "img", "member", "ordinal", "size_gb", "size_bytes"]);
        assert_eq!(names(&of("removed")), ["hash", "img", "ordinal", "path", "size_bytes"]);
        let complete = of("archive_complete");
        assert!(names(&complete).contains(&"decoded_frames") && !names(&complete).contains(&"multi"));
        let table = objects().into_iter().find(|(field, _)| *field == "table").expect("a table").1;
        assert_eq!(names(&table)[5..], ["container", "fs", "fs_label", "fs_uuid", "complete"]);
    }
}
