//! Whole Dockerfiles through resolution, on images that only exist here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Checked, Resolved, check, resolve};
use crate::runtime::build::BuildError;
use crate::runtime::build::document::{Config, ImageDocument};
use crate::runtime::build::graph::{
    Base, BaseImage, CopySource, Images, Mount, Operation, Run, Source, Stage, StageId,
};
use crate::runtime::build::request::{CacheUse, Contexts, DockerfileText, Request, RunSettings};
use crate::value::{Digest, ImageRef, Platform};

struct Shelf;

#[async_trait::async_trait]
impl Images for Shelf {
    async fn find(&self, name: &ImageRef, _: &Platform) -> Result<Arc<BaseImage>, BuildError> {
        let name = name.to_string();
        let mut config = Config::default();
        if name.contains("trigger") {
            config.on_build = vec!["RUN fired".to_owned(), "COPY --from=other /a /b".to_owned()];
        }
        if name.contains("command") {
            config.cmd = vec!["inherited".to_owned()];
        }
        Ok(Arc::new(BaseImage {
            id: Digest::sha256_of(name.as_bytes()),
            name,
            document: ImageDocument {
                os: "linux".to_owned(),
                config,
                ..ImageDocument::default()
            },
        }))
    }
}

fn request(text: &str, args: &[(&str, &str)]) -> Request {
    let args = args.iter();
    Request {
        dockerfile: DockerfileText {
            name: "Dockerfile".to_owned(),
            text: text.to_owned(),
        },
        target: None,
        args: args
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        labels: BTreeMap::new(),
        platform: "linux/amd64".parse().unwrap(),
        build_platform: "linux/amd64".parse().unwrap(),
        contexts: Contexts {
            main: None,
            named: BTreeMap::new(),
        },
        run: RunSettings::default(),
        cache: CacheUse::default(),
        epoch: None,
    }
}

fn run_of(stage: &Stage, index: usize) -> &Run {
    match &stage.steps[index].operation {
        Some(Operation::Run(run)) => run,
        other => panic!("{other:?}"),
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn resolved(text: &str, args: &[(&str, &str)]) -> Resolved {
    block(resolve(&request(text, args), &Shelf)).unwrap()
}

fn refused(text: &str) -> String {
    let error = block(resolve(&request(text, &[]), &Shelf)).unwrap_err();
    error.to_string()
}

fn checked(text: &str) -> Checked {
    block(check(&request(text, &[]), &Shelf)).unwrap()
}

#[test]
fn only_needed_stages_are_there_and_dependencies_come_first() {
    let graph = resolved(
        "FROM a AS unused\nRUN no\nFROM b AS base\nFROM base\nCOPY --from=later /x /y\nRUN --mount=from=base,target=/m true\nFROM c AS later\nFROM base AS last\nCOPY --from=2 /x /",
        &[],
    )
    .graph;
    let names: Vec<&str> = graph
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(names, ["base", "later", "stage-2", "last"]);
    assert_eq!(graph.stages[2].base, Base::Stage(StageId(0)));
    let run = run_of(&graph.stages[2], 1);
    let Mount::Bind {
        from,
        target,
        writable,
        ..
    } = &run.mounts[0]
    else {
        panic!("{run:?}");
    };
    assert_eq!(
        (from, target.as_str(), *writable),
        (&Source::Stage(StageId(0)), "/m", false)
    );
}

#[test]
fn arguments_and_environment_follow_their_scopes() {
    let text = "ARG G=global\nARG IMG=img\nFROM $IMG\nARG G\nARG A=1 B=$A\nENV E=$G-$B F=$E\nARG E=later\nRUN x\nFROM img\nARG G=local\nENV R=$G$A";
    let graph = resolved(text, &[]).graph;
    assert_eq!(graph.stages.len(), 1);
    assert_eq!(graph.stages[0].image.config.env[1], "R=local");
    let text = text.split("\nFROM img").next().unwrap();
    let graph = resolved(text, &[("A", "9")]).graph;
    let stage = &graph.stages[0];
    assert_eq!(stage.image.config.env[1..], ["E=global-9", "F="]);
    let run = run_of(stage, 4);
    assert_eq!(run.env.last().unwrap(), "E=later");
    assert_eq!(
        stage.steps[4].history.created_by,
        "RUN |4 G=global A=9 B=9 E=later /bin/sh -c x # buildkit"
    );
}

#[test]
fn triggers_of_the_base_run_once_and_may_need_stages() {
    let text = "FROM x AS other\nFROM trigger AS t\nFROM t\nRUN own";
    let graph = resolved(text, &[]).graph;
    let texts: Vec<Vec<&str>> = graph
        .stages
        .iter()
        .map(|stage| stage.steps.iter().map(|step| step.text.as_str()).collect())
        .collect();
    assert_eq!(
        texts,
        [
            vec![],
            vec!["RUN fired", "COPY --from=other /a /b"],
            vec!["RUN own"]
        ]
    );
    assert!(graph.stages[1].image.config.on_build.is_empty());
}

#[test]
fn an_entry_point_drops_the_command_of_the_base_only() {
    let cmd = |text: &str| {
        let graph = resolved(text, &[]).graph;
        graph.stages[0].image.config.cmd.clone()
    };
    assert!(cmd("FROM command\nENTRYPOINT [\"e\"]").is_empty());
    assert_eq!(cmd("FROM command\nCMD [\"c\"]\nENTRYPOINT [\"e\"]"), ["c"]);
    assert_eq!(
        cmd("FROM command\nENTRYPOINT [\"e\"]\nCMD c"),
        ["/bin/sh", "-c", "c"]
    );
}

#[test]
fn heredocs_reach_the_shell_or_become_files() {
    let text = "FROM a\nARG V=1\nRUN <<EOF\necho $V\nEOF\nRUN <<S\n#!/x\nS\nRUN cat <<A - <<B\na\nA\nb\nB\nCOPY <<f <<'g' /d/\n$V\nf\n$V\ng\n";
    let graph = resolved(text, &[]).graph;
    let stage = &graph.stages[0];
    assert_eq!(run_of(stage, 1).args[2], "echo $V\n");
    let script = run_of(stage, 2).heredoc.as_ref().unwrap();
    assert_eq!(
        (script.path.as_str(), script.content.as_str()),
        ("/dev/pipes/S", "#!/x\n")
    );
    assert_eq!(run_of(stage, 3).args[2], "cat <<A - <<B\na\nA\nb\nB");
    let Some(Operation::Copy(copy)) = &stage.steps[4].operation else {
        panic!("{stage:?}");
    };
    let contents: Vec<&str> = copy
        .sources
        .iter()
        .map(|source| match source {
            CopySource::Inline { content, .. } => content.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(contents, ["1\n", "$V\n"]);
    assert_eq!(copy.dest, "/d/");
}

#[test]
fn mistakes_are_refused_before_anything_runs() {
    for (text, message) in [
        ("FROM $X", "base name ($X) should not be blank"),
        (
            "FROM scratch\nCOPY --from=0 a b",
            "circular dependency detected on stage: stage-0",
        ),
        (
            "FROM a AS b\nCOPY --from=c a b\nFROM b AS c",
            "circular dependency",
        ),
        (
            "FROM a\nRUN --mount=typ=x y",
            "unexpected key 'typ' in 'typ=x'",
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/ y",
            "invalid mount target \"/\"",
        ),
        ("FROM a\nCOPY --chmod=64a b c", "invalid chmod parameter"),
        ("FROM a\nCOPY --chmod=10000 b c", "invalid chmod parameter"),
        ("FROM a\nEXPOSE 90-80", "invalid containerPort: 90-80"),
        ("FROM a\nSTOPSIGNAL 0", "invalid signal: 0"),
        (
            "FROM a\nCOPY http://x/y z",
            "source can't be a URL for COPY",
        ),
        (
            "FROM a\nADD --checksum=sha256:a x z",
            "checksum requires HTTP(S) or Git sources",
        ),
        (
            "FROM a\nCOPY --from=$X a b",
            "variable expansion is not supported for --from",
        ),
        ("FROM rootfs:/", "names a place on this machine"),
        (
            "# check=error=true\nFROM a as b",
            "lint violation found for rules: FromAsCasing",
        ),
    ] {
        assert!(refused(text).contains(message), "{text}: {}", refused(text));
    }
}

#[test]
fn checks_find_what_buildkit_finds() {
    for (text, expected) in [
        (
            "from a as B\nmaintainer m\nworkdir x\nCMD a\ncmd b\nenv x y",
            "ConsistentInstructionCasing:4 JSONArgsRecommended:4 JSONArgsRecommended:5 LegacyKeyValueFormat:6 MaintainerDeprecated:2 MultipleInstructionsDisallowed:4 StageNameCasing:1 WorkdirRelativePath:3",
        ),
        (
            "FROM a\nCOPY $foo /x\nENV PATH=$PAHT:/x Y=${Z:-1}",
            "UndefinedVar:2 UndefinedVar:3",
        ),
        (
            "FROM scratch\nARG MY_PASSWORD\nENV API_KEY=x\nENV PUBLIC_KEY=y\nARG TOKENIZER",
            "SecretsUsedInArgOrEnv:2 SecretsUsedInArgOrEnv:3",
        ),
        (
            "FROM --platform=linux/amd64 a",
            "FromPlatformFlagConstDisallowed:1",
        ),
        (
            "FROM --platform=$TARGETPLATFORM a",
            "RedundantTargetPlatform:1",
        ),
        ("FROM a\nRUN a && \\\n\n b", "NoEmptyContinuation:4"),
        ("# check=skip=all\nfrom a AS B", ""),
        (
            "FROM a\nEXPOSE 80/TCP 1:2",
            "ExposeInvalidFormat:2 ExposeProtoCasing:2",
        ),
        ("ARG X=\nFROM b${X}:", "InvalidDefaultArgInFrom:2"),
    ] {
        let found = checked(text).warnings;
        let mut found: Vec<String> = found
            .iter()
            .map(|warning| format!("{}:{}", warning.rule.name(), warning.lines.first))
            .collect();
        found.sort();
        assert_eq!(found.join(" "), expected, "{text}");
    }
}
