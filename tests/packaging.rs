//! What a packager takes: completions, pages of the manual, the version, the changelog, and the commit that a build is of.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::fixture::{self, Fixture};
use common::scan::{Scan, end, imgsieve};
use common::{run, status};
use serde_json::Value;
use tempfile::TempDir;

fn printed(args: &[&str]) -> String {
    let ended = end(imgsieve().args(args));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{args:?}");
    ended.stdout
}

/// As the help lists them, without `help` itself.
fn subcommands() -> Vec<String> {
    let help = printed(&["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is indented by more goes on with the line before.
    let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == "scan"), "{names:?}");
    names.into_iter().filter(|name| name != "help").collect()
}

/// The program's standard output and standard error together, once it ended well.
fn said(package: &str, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install {package}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {said}");
    said
}

// Completions.

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn every_shell_parses_its_completions() {
    // Where nobody types, elvish has no editor that could be told how to complete.
    const EDITOR: &str = "var edit: = (ns [&completion:=(ns [&arg-completer=[&]])])\n";
    let folder = TempDir::new().expect("a temporary folder");
    for (shell, check, before) in
        [("bash", "-n", ""), ("zsh", "-n", ""), ("fish", "-n", ""), ("elvish", "-compileonly", EDITOR)]
    {
        let script = folder.path().join(shell);
        fs::write(&script, format!("{before}{}", printed(&["completions", shell]))).expect("a script");
        assert_eq!(said(shell, shell, &[check, &script.to_string_lossy()]), "", "{shell}");
    }
}

#[test]
fn completions_of_every_shell_have_every_subcommand() {
    let subcommands = subcommands();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for name in &subcommands {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn bash_completes_subcommands_and_options() {
    let complete = "
        complete -p imgsieve > /dev/null || exit
        COMP_WORDS=(imgsieve insp) COMP_CWORD=1; _imgsieve imgsieve insp imgsieve; echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(imgsieve scan --max) COMP_CWORD=2; _imgsieve imgsieve --max scan; echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(imgsieve man sc) COMP_CWORD=2; _imgsieve imgsieve sc man; echo \"${COMPREPLY[@]}\"";
    let script = printed(&["completions", "bash"]) + complete;
    assert_eq!(
        run("bash", "bash", &["--norc", "-s"], &script),
        "inspect\n--max-window --max-image-size --max-staged\nscan schedule\n"
    );
}

/// A log of two runs, and of archives that a shell would make something else of.
fn log(folder: &Path) -> String {
    let line = |stage: &str, run: &str, hash: &str| {
        format!("{{\"stage\":\"{stage}\",\"hash\":\"{hash}\",\"run\":\"{run}\"}}\n")
    };
    let log = folder.join("log.jsonl");
    let lines = [
        line("archive_start", "0a1b", "abc1"),
        line("archive_start", "2c3d", "$(touch owned)"),
        line("archive_start", "2c3d", "abd2"),
    ];
    fs::write(&log, lines.concat()).expect("a log");
    log.to_string_lossy().into_owned()
}

/// The shell's PATH with the program in it.
fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_imgsieve")).parent().expect("a folder");
    format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn bash_completes_runs_and_archives_from_the_log() {
    let folder = TempDir::new().expect("a temporary folder");
    let log = log(folder.path());
    let script = printed(&["completions", "bash"])
        + "
        complete -p imgsieve
        words() {
            COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _imgsieve_with_log imgsieve \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
            echo \"${COMPREPLY[@]}\"
        }
        words imgsieve report --log \"$LOG\" --run ''
        words imgsieve report \"$LOG\" --run 0
        words imgsieve report --log = \"$LOG\" --run = ''
        words imgsieve scan --log \"$LOG\" --only ab
        words imgsieve config --log \"$LOG\" --skip abc
        words imgsieve report --log /nonexistent --run 2
        words imgsieve scan --max
        words imgsieve reprocess --log \"$LOG\" -- cat --only ab
        ";
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &script]).current_dir(folder.path());
    let ended = end(command.env("PATH", path_with_program()).env("LOG", &log));
    assert_eq!(ended.stderr, "");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].contains("-F _imgsieve_with_log"), "{}", lines[0]);
    assert_eq!(
        lines[1..8],
        [
            "last all 2c3d 0a1b",
            "0a1b",
            "last all 2c3d 0a1b",
            "abd2 abc1",
            "abc1",
            "",
            "--max-window --max-image-size --max-staged"
        ]
    );
    assert!(!lines[8].contains("ab"), "what follows -- is another command's: {}", lines[8]);
    assert!(!folder.path().join("owned").exists());
}

#[test]
fn values_of_a_log_of_any_size_come_from_its_end() {
    let folder = TempDir::new().expect("a temporary folder");
    let log = log(folder.path());
    let mut file = fs::OpenOptions::new().append(true).open(&log).expect("the log");
    let filler = format!("{{\"stage\":\"img_found\",\"run\":\"4e5f\",\"img\":\"{}\"}}\n", "x".repeat(60_000));
    for _ in 0..400 {
        std::io::Write::write_all(&mut file, filler.as_bytes()).expect("room");
    }
    assert_eq!(printed(&["completions", "--values", "runs", "--log", &log]), "last\nall\n4e5f\n");
    assert_eq!(printed(&["completions", "--values", "archives", "--log", &log]), "");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn fish_and_zsh_complete_runs_from_the_log() {
    let folder = TempDir::new().expect("a temporary folder");
    let site = folder.path().join("site.toml");
    fs::write(&site, format!("log = {:?}\n", log(folder.path()))).expect("a site file");
    let script = folder.path().join("_imgsieve");
    let shell = |shell: &str, args: &[&str]| {
        fs::write(&script, printed(&["completions", shell])).expect("a script");
        // What never shows would be waited for.
        let mut command = Command::new("timeout");
        command.args(["30", shell]).args(args).current_dir(folder.path()).env("PATH", path_with_program());
        end(command.env("IMGSIEVE_CONFIG", &site).env("HOME", folder.path()).env("TERM", "dumb")).stdout
    };
    let fish = shell("fish", &["--no-config", "-c", "source _imgsieve; complete -C 'imgsieve report --run '"]);
    assert_eq!(
        fish.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect::<Vec<_>>(),
        ["last", "all", "2c3d", "0a1b"]
    );
    // What it shows, with escape sequences and all.
    let typed = "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z 'PS1=; fpath=($PWD $fpath); autoload -U compinit; compinit \
                 -u -D; zstyle \":completion:*\" list-colors; echo ready'; zpty -r z seen '*ready*ready*'; \
                 zpty -w -n z $'imgsieve scan --only a\\t\\t'; zpty -r z seen '*abd2*abc1*'; print -r -- $seen";
    let zsh = shell("zsh", &["-f", "-c", typed]);
    assert!(zsh.contains("abd2") && zsh.contains("abc1"), "{zsh:?}");
}

// The manual.

/// A folder with every page, and their paths and names without `.1`, sorted.
fn manual() -> (TempDir, Vec<(String, String)>) {
    let folder = TempDir::new().expect("a temporary folder");
    let to = folder.path().join("share/man1");
    printed(&["man", "--to", &to.to_string_lossy()]);
    let paths = fs::read_dir(to).expect("the folder was made").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<_> = paths
        .map(|path| {
            assert_eq!(path.extension().expect("a section"), "1");
            (path.display().to_string(), path.file_stem().expect("a name").display().to_string())
        })
        .collect();
    pages.sort_by(|(_, one), (_, other)| one.cmp(other));
    (folder, pages)
}

#[test]
fn there_is_a_page_for_the_program_each_subcommand_and_the_log() {
    let (_folder, pages) = manual();
    let names: Vec<&str> = pages.iter().map(|(_, name)| name.as_str()).collect();
    let mut expected: Vec<String> = subcommands().iter().map(|name| format!("imgsieve-{name}")).collect();
    let topics = ["imgsieve", "imgsieve-cloud", "imgsieve-log", "imgsieve-schedule", "imgsieve-shards"];
    expected.extend(topics.map(str::to_owned));
    expected.sort();
    assert_eq!(names, expected);
    for (path, name) in &pages {
        let page = fs::read_to_string(path).expect("a page");
        let subcommand = name.strip_prefix("imgsieve-");
        assert_eq!(printed(&[&["man"], subcommand.as_slice()].concat()), page, "{name}");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn no_linter_has_a_word_to_say_about_a_page() {
    let (_folder, pages) = manual();
    for (path, name) in pages {
        assert_eq!(said("mandoc", "mandoc", &["-T", "lint", &path]), "", "{name}");
        let man = ["--warnings=w", "--local-file", "--troff-device=utf8", &path];
        let output = Command::new("man").args(man).env("LC_ALL", "C.UTF-8").output().expect("man of man-db");
        assert_eq!((String::from_utf8_lossy(&output.stderr), output.status.code()), ("".into(), Some(0)), "{name}");
        assert!(said("man-db", "lexgrog", &[&path]).contains(&format!("\"{name} - ")), "{name}");
    }
}

#[test]
fn a_command_of_an_example_is_one_line_that_is_not_filled() {
    for name in subcommands() {
        let help = printed(&[&name, "--help"]);
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
        let commands: Vec<&str> = examples.filter_map(|line| line.strip_prefix("  imgsieve ")).collect();
        assert!(!commands.is_empty(), "{name}");
        let page = printed(&["man", &name]).replace(" \\\n", " ").replace("\\-", "-").replace("\\*(Aq", "'");
        let unfilled: Vec<&str> =
            page.split(".nf\n").skip(1).filter_map(|rest| rest.split_once("\n.fi\n")).map(|(line, _)| line).collect();
        assert!(page.lines().filter(|line| *line == ".nf").count() == unfilled.len());
        for command in commands {
            let is_it =
                |line: &&str| line.replace("\\fB", "").replace("\\fR", "").replace("\\\\", "\\").contains(command);
            assert!(unfilled.iter().any(is_it), "{name}: {command}: {unfilled:?}");
        }
    }
    let schedule = printed(&["man", "schedule"]);
    let samples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/samples")).expect("samples");
    for sample in samples.map(|entry| entry.expect("a sample").path()) {
        let name = sample.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(printed(&["man", "--sample", &name]), fs::read_to_string(&sample).expect("text"), "{name}");
    }
    assert!(schedule.contains("\n    monthly\n"), "samples keep their indents");
}

#[test]
fn a_page_has_each_section_and_every_option_of_the_help() {
    const TOPICS: [&str; 4] = ["imgsieve-cloud", "imgsieve-log", "imgsieve-schedule", "imgsieve-shards"];
    let (_folder, pages) = manual();
    for (path, name) in pages.into_iter().filter(|(_, name)| !TOPICS.contains(&&**name)) {
        let page = fs::read_to_string(&path).expect("a page");
        let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let needed = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "EXAMPLES", "\"SEE ALSO\""];
        let there: Vec<&str> = sections.iter().copied().filter(|section| needed.contains(section)).collect();
        assert_eq!(there, needed, "{name}");
        assert!(sections.contains(&"FILES") || name != "imgsieve" && !page.contains("\\-\\-log"), "{name}");
        let subcommand = name.strip_prefix("imgsieve-");
        let help = printed(&[subcommand.as_slice(), &["--help"]].concat());
        let options = help
            .split(|each: char| each != '-' && !each.is_ascii_lowercase())
            .filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options {
            assert!(page.contains(&option.replace('-', "\\-")), "{name}: {option}");
        }
    }
}

#[test]
fn the_page_of_the_log_has_every_field_and_reason_of_a_log() {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures);
    scan.run();
    let page = printed(&["man", "log"]);
    let section = |name: &str| {
        let (_, rest) = page.split_once(&format!(".SS {name}\n")).unwrap_or_else(|| panic!("{name}"));
        rest.split(".SS ").next().unwrap_or_default()
    };
    let has = |section: &str, word: &str| section.contains(&format!("\\fB{word}\\fR\n"));
    let undocumented = |section: &str, object: &serde_json::Map<String, Value>| -> Vec<String> {
        let known = |key: &str| has(section, key) || key.strip_suffix("_bytes").is_some_and(|name| has(section, name));
        object.keys().filter(|key| !known(key)).cloned().collect()
    };
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for line in scan.logged() {
        let mut fields = object(&line);
        for key in ["ts", "stage", "run"] {
            assert!(fields.shift_remove(key).is_some(), "{key}: {line}");
        }
        let stage = line["stage"].as_str().expect("a stage");
        assert_eq!(undocumented(section(stage), &fields), [""; 0], "{stage}");
        assert_eq!(undocumented(section("rules"), &object(&line["rules"])), [""; 0]);
        assert_eq!(undocumented(section("table"), &object(&line["table"])), [""; 0]);
        for partition in line["partition_list"].as_array().into_iter().flatten() {
            assert_eq!(undocumented(section("partition_list"), &object(partition)), [""; 0]);
        }
        if let Some(reason) = line["reason"].as_str() {
            assert!(has(page.split(".SH REASONS").nth(1).expect("a section"), reason), "{reason}");
        }
    }
}

#[test]
fn a_page_of_no_subcommand_is_wrong_usage() {
    let ended = end(imgsieve().args(["man", "sieve"]));
    assert_eq!((ended.code, &*ended.stdout), (2, ""));
    assert!(ended.stderr.contains("'sieve'") && ended.stderr.contains("scan"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_cannot_take_the_manual_is_named() {
    let ended = end(imgsieve().args(["man", "--to", "/dev/null/man1"]));
    assert_eq!((ended.code, &*ended.stdout), (1, ""));
    assert!(ended.stderr.contains("/dev/null/man1: Not a directory"), "{}", ended.stderr);
}

// Versions.

#[test]
fn the_version_is_short_or_names_commit_and_libzstd() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&["-V"]), format!("imgsieve {version}\n"));
    let long = printed(&["--version"]);
    let lines: Vec<&str> = long.lines().collect();
    let [name, commit, libzstd] = lines[..] else { panic!("{long}") };
    assert_eq!(name, format!("imgsieve {version}"));
    assert_eq!(libzstd, format!("libzstd {}", zstd::zstd_safe::version_string()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    if folder.join(".git").exists() {
        let head = run("git", "git", &["-C", &folder.to_string_lossy(), "rev-parse", "HEAD"], "");
        assert!(commit.starts_with(&format!("commit {}", &head[..12])), "{commit}");
    }
}

#[test]
fn the_changelog_has_this_version_and_the_manual_its_date() {
    let changelog = include_str!("../CHANGELOG.md");
    let version = format!("## [{}] - ", env!("CARGO_PKG_VERSION"));
    let date = changelog.lines().find_map(|line| line.strip_prefix(&version)).expect("this version");
    let title = format!(".TH IMGSIEVE 1 {date} \"imgsieve {}\"", env!("CARGO_PKG_VERSION"));
    assert!(printed(&["man"]).lines().any(|line| line.starts_with(&title)), "{title}");
}

// The commit that a build is of.

/// The build script, in a folder of its own.
struct Build {
    folder: TempDir,
}

impl Build {
    fn new() -> Build {
        let folder = TempDir::new().expect("a temporary folder");
        let build = Build { folder };
        fs::create_dir(build.folder.path().join("src")).expect("a folder");
        build.write("src/main.rs", "fn main() {}");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-o", "build", script]).current_dir(build.folder.path());
        assert_eq!(status(&mut rustc, "rustc"), 0);
        build
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.folder.path().join(path), content).expect("a file");
    }

    fn git(&self, args: &[&str]) -> String {
        let folder = self.folder.path().to_string_lossy();
        let user = ["-c", "user.name=n", "-c", "user.email=e@localhost", "-c", "commit.gpgsign=false"];
        run("git", "git", &[&["-C", &folder], &user[..], args].concat(), "")
    }

    /// What the script says of the commit, and the paths that it watches.
    fn run(&self) -> (String, Vec<String>) {
        let path = self.folder.path();
        let said = end(Command::new(path.join("build")).current_dir(path)).stdout;
        let after = |start: &str| -> Vec<String> {
            said.lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
        };
        let commits = after("cargo::rustc-env=IMGSIEVE_COMMIT=");
        let watched = after("cargo::rerun-if-changed=");
        // Cargo runs a script at every build if it watches what is not there.
        assert!(watched.iter().all(|each| path.join(each).exists()), "{watched:?}");
        (commits.concat(), watched)
    }
}

#[test]
fn a_build_of_a_clone_is_of_its_head() {
    let build = Build::new();
    build.git(&["init", "--quiet"]);
    build.git(&["add", "src"]);
    build.git(&["commit", "--quiet", "--message=first"]);
    let head = build.git(&["rev-parse", "HEAD"]);
    let (commit, watched) = build.run();
    assert_eq!(commit, head[..12]);
    // What grows when HEAD moves.
    assert!(watched.iter().any(|path| path == ".git/logs/HEAD"), "{watched:?}");
    build.write("src/main.rs", "fn main() { }");
    assert_eq!(build.run().0, format!("{}, with changes", &head[..12]));
}

#[test]
fn a_build_without_a_reflog_watches_all_that_moves_head() {
    let build = Build::new();
    build.git(&["init", "--quiet"]);
    build.git(&["config", "core.logAllRefUpdates", "false"]);
    build.git(&["add", "src"]);
    build.git(&["commit", "--quiet", "--message=first"]);
    let (_, watched) = build.run();
    assert!([".git/HEAD", ".git/refs"].iter().all(|path| watched.iter().any(|each| each == path)), "{watched:?}");
}

#[test]
fn a_build_of_a_packaged_crate_is_of_the_commit_that_was_packaged() {
    let build = Build::new();
    let info = |dirty: &str| {
        format!(r#"{{ "git": {{ "sha1": "0123456789abcdef0123456789abcdef01234567"{dirty} }}, "path_in_vcs": "" }}"#)
    };
    build.write(".cargo_vcs_info.json", &info(""));
    assert_eq!(build.run().0, "0123456789ab");
    build.write(".cargo_vcs_info.json", &info(r#", "dirty": true"#));
    assert_eq!(build.run().0, "0123456789ab, with changes");
}

#[test]
fn a_build_that_nothing_is_known_of_is_none_the_less_one() {
    let build = Build::new();
    assert_eq!(build.run().0, "unknown");
    // A repository without a commit, and one that is broken.
    build.git(&["init", "--quiet"]);
    assert_eq!(build.run().0, "unknown");
    build.write(".git/HEAD", "");
    assert_eq!(build.run().0, "unknown");
    build.write(".cargo_vcs_info.json", "{ \"git\": { \"sha1\": \"\n0123456789 not a commit\" } }");
    assert_eq!(build.run().0, "unknown");
}
