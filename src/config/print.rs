//! The site as a file that people read: the built-in one's comments, with its own values.

use super::{BUILT_IN, Site};

/// Keys that the built-in site file has not, each with its comment; they stand behind [`AFTER`].
const OPTIONAL: [(&str, &str); 2] =
    [("max_image_size", "# Larger images are not staged."), ("jobs", "# Archives read at a time.")];
const AFTER: &str = "max_window";
/// The table at the end.
const LAST: &str = "[skip]";

/// The site as text; none where a path is not UTF-8, which TOML cannot have.
pub(super) fn commented(site: &Site) -> Result<String, toml::ser::Error> {
    let values = toml::Table::try_from(site)?;
    let mut text = String::new();
    for line in BUILT_IN.lines().take_while(|line| *line != LAST) {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        match values.get(key) {
            Some(value) => text.extend([key, " = ", &value.to_string(), "\n"]),
            None => text.extend([line, "\n"]),
        }
        if key == AFTER {
            for (key, comment) in OPTIONAL {
                if let Some(value) = values.get(key) {
                    text.extend([comment, "\n", key, " = ", &value.to_string(), "\n"]);
                }
            }
        }
    }
    text.push_str(LAST);
    text.push('\n');
    text.push_str(&toml::to_string(&site.skip)?);
    Ok(text)
}
