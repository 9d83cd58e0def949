//! What templates make of rows, and what they refuse.

use super::*;
use crate::report::output::memory::Memory;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    name: &'static str,
    state: &'static str,
    exit_code: i32,
    networks: &'static str,
    publishers: Vec<Publisher>,
    #[serde(skip)]
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Publisher {
    #[serde(rename = "URL")]
    url: &'static str,
    target_port: u16,
    published_port: u16,
}

impl Row for Container {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.labels)
    }
}

fn rows() -> Vec<Container> {
    let port = |published_port, target_port| Publisher {
        url: "0.0.0.0",
        target_port,
        published_port,
    };
    let label = |text: &str| BTreeMap::from([("com.docker.compose.project".into(), text.into())]);
    let web = Container {
        name: "demo-web-1",
        state: "running",
        exit_code: 0,
        networks: "back,front",
        publishers: vec![port(8080, 80), port(8443, 443)],
        labels: label("demo"),
    };
    let job = Container {
        name: "demo-job-1",
        state: "exited",
        exit_code: 3,
        networks: "back",
        publishers: Vec::new(),
        labels: BTreeMap::new(),
    };
    vec![web, job]
}

fn written(template: &str) -> String {
    let memory = Memory::default();
    let template = Template::parse(template).unwrap();
    template.write(&mut memory.pipe(), &rows()).unwrap();
    memory.text()
}

fn refusal(template: &str) -> String {
    let memory = Memory::default();
    match Template::parse(template) {
        Err(error) => error.to_string(),
        Ok(template) => template
            .write(&mut memory.pipe(), &rows())
            .unwrap_err()
            .to_string(),
    }
}

/// Returns what is written for the first row.
fn first(template: &str) -> String {
    let memory = Memory::default();
    let template = Template::parse(template).unwrap();
    template.write(&mut memory.pipe(), &rows()[..1]).unwrap();
    memory.text().trim_end_matches('\n').to_owned()
}

#[test]
fn fields_functions_and_pipes_are_filled_in() {
    assert_eq!(first("{{.Name}} {{ upper .State }}"), "demo-web-1 RUNNING");
    assert_eq!(first("{{.ExitCode}}\\t{{.State | title}}"), "0\tRunning");
    assert_eq!(first("{{json .Networks}}"), "\"back,front\"");
    assert_eq!(first("{{.State | printf \"%-9s|\"}}"), "running  |");
    assert_eq!(first("{{(index .Publishers 1).PublishedPort}}"), "8443");
    assert_eq!(
        first("{{join (split .Networks \",\") \" and \"}}"),
        "back and front"
    );
    assert_eq!(
        first("{{len .Publishers}} {{truncate .Name 4}} {{pad .State 1 2}}|"),
        "2 demo  running  |"
    );
    assert_eq!(
        first("{{.Publishers}}"),
        "[{0.0.0.0 80 8080} {0.0.0.0 443 8443}]"
    );
    assert!(first("{{json .}}").starts_with("{\"Name\":\"demo-web-1\""));
}

#[test]
fn a_label_is_found_by_its_name() {
    let template = "{{.Label \"com.docker.compose.project\"}}|{{.Label \"other\"}}|";
    assert_eq!(written(template), "demo||\n||\n");
}

#[test]
fn conditions_choose_what_is_written() {
    let template = "{{if eq .State \"running\"}}up{{else if gt .ExitCode 2}}bad{{else}}down{{end}}";
    assert_eq!(written(template), "up\nbad\n");
    let template = "{{with .Publishers}}{{len .}}{{else}}none{{end}}";
    assert_eq!(written(template), "2\nnone\n");
    let safe = "{{if and .Publishers (eq (index .Publishers 0).TargetPort 80)}}http{{end}}";
    assert_eq!(written(safe), "http\n\n");
    assert_eq!(
        first("{{not .Publishers}} {{or \"\" .Name}} {{ne .State \"a\" }}"),
        "false demo-web-1 true"
    );
}

#[test]
fn loops_go_through_lists() {
    let template =
        "{{range .Publishers}}{{.URL}}:{{.PublishedPort}}->{{.TargetPort}} {{else}}-{{end}}";
    assert_eq!(
        written(template),
        "0.0.0.0:8080->80 0.0.0.0:8443->443 \n-\n"
    );
    let template =
        "{{range $i, $p := .Publishers}}{{if $i}}, {{end}}{{$.Name}}:{{$p.TargetPort}}{{end}}";
    assert_eq!(first(template), "demo-web-1:80, demo-web-1:443");
    let template = "{{$n := 0}}{{range .Publishers}}{{$n = .TargetPort}}{{end}}{{$n}}";
    assert_eq!(written(template), "443\n0\n");
}

#[test]
fn white_space_is_trimmed_where_a_dash_asks_for_it() {
    assert_eq!(
        first("a {{- /* nothing */ -}}  b {{- .State -}} c"),
        "abrunningc"
    );
    assert_eq!(first("{{/* nothing */}}{{ \"}}\" }}"), "}}");
}

#[test]
fn table_prints_a_header() {
    insta::assert_snapshot!(
        written("table {{.Name}}\t{{.ExitCode}}\t{{.Label \"com.docker.compose.project\"}}\t{{range .Publishers}}{{.TargetPort}} {{end}}"),
        @r"
    NAME         EXIT CODE   project   TARGET PORT 
    demo-web-1   0           demo      80 443 
    demo-job-1   3                     
    ");
}

#[test]
fn a_block_can_name_the_value_that_chose_it() {
    assert_eq!(
        first("{{with $x := .Name}}{{$x}}={{.}}{{end}}"),
        "demo-web-1=demo-web-1"
    );
    assert_eq!(
        written("{{if $n := .ExitCode}}{{$n}}{{else}}ok{{$n}}{{end}}"),
        "ok0\n3\n"
    );
    assert!(refusal("{{with $x := .Name}}{{end}}{{$x}}").contains("`$x`"));
    assert!(refusal("{{with $a, $b := .Name}}{{end}}").contains("one variable"));
}

#[test]
fn templates_are_filled_in_by_their_names() {
    let template = "{{define \"port\"}}{{.TargetPort}};{{end}}{{range .Publishers}}{{template \"port\" .}}{{end}}";
    assert_eq!(written(template), "80;443;\n\n");
    assert_eq!(
        first("{{template \"later\" .Name}}{{define \"later\"}}<{{$}}>{{end}}"),
        "<demo-web-1>"
    );
    assert_eq!(
        first("{{block \"state\" .State}}[{{.}}]{{end}} {{template \"state\" .Name}}"),
        "[running] [demo-web-1]"
    );
    assert_eq!(
        written("table {{block \"n\" .Name}}{{.}}{{end}}"),
        "NAME\ndemo-web-1\ndemo-job-1\n"
    );
    assert!(refusal("{{template \"x\"}}").contains("the template `x`"));
    assert!(refusal("{{$x := 1}}{{define \"a\"}}{{$x}}{{end}}{{template \"a\"}}").contains("`$x`"));
    assert!(
        refusal("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}")
            .contains("more than")
    );
    assert!(refusal("{{if 1}}{{define \"a\"}}{{end}}{{end}}").contains("`define`"));
    assert!(refusal("{{define \"a\"}}").contains("`{{define}}`"));
    assert!(refusal("{{template .Name}}").contains("in quotes"));
    assert!(refusal("{{block \"a\"}}{{end}}").contains("a value for `block`"));
}

#[test]
fn a_loop_can_be_left_and_gone_on_with() {
    let ports = |inside: &str| {
        first(&format!(
            "{{{{range .Publishers}}}}{inside}{{{{.TargetPort}}}} {{{{end}}}}"
        ))
    };
    assert_eq!(ports("{{if eq .TargetPort 443}}{{break}}{{end}}"), "80 ");
    assert_eq!(ports("{{if eq .TargetPort 80}}{{continue}}{{end}}"), "443 ");
    assert!(refusal("{{break}}").contains("`break`"));
    assert!(refusal("{{range .Publishers}}{{else}}{{continue}}{{end}}").contains("`continue`"));
}

#[test]
fn values_are_written_for_other_languages() {
    assert_eq!(
        first("{{html \"<a href='x'>&\\\"\"}}"),
        "&lt;a href=&#39;x&#39;&gt;&amp;&#34;"
    );
    assert_eq!(
        first("{{js \"it's <b>=\\\\\"}}"),
        "it\\'s \\u003Cb\\u003E\\u003D\\\\"
    );
    assert_eq!(first("{{urlquery \"a b/ü&c~\"}}"), "a+b%2F%C3%BC%26c~");
    assert_eq!(
        first("{{.Name | printf \"%s?\" | urlquery}}"),
        "demo-web-1%3F"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    assert!(refusal("{{call .Name}}").contains("`call`"));
}

#[test]
fn mistakes_are_said_with_what_is_wrong() {
    assert_eq!(refusal("{{.Name"), "find the `}}` that closes `{{.Name`");
    assert_eq!(refusal("{{if .Name}}x"), "find the `{{end}}` of `{{if}}`");
    assert!(refusal("{{end}}").contains("`end`"));
    assert!(refusal("{{$x}}").contains("`$x`"));
    assert!(refusal("{{.Name .State}}").contains("a function"));
    assert!(refusal("{{upper}}").contains("`upper`"));
    assert!(refusal("{{index .Publishers 9}}").contains("no element `9`"));
    assert!(refusal("{{range .Name}}x{{end}}").contains("a text has no elements"));
    assert!(refusal("{{eq .Name 1}}").contains("different kinds"));
    assert!(refusal("{{\"open}}").contains("open"));
    assert!(refusal("{{.Nam}}").starts_with("find the field `.Nam`: the fields are `.Name`, "));
}

#[test]
fn blocks_without_end_in_each_other_are_refused() {
    assert!(refusal(&"{{if 1}}".repeat(5000)).contains("more than"));
    assert!(refusal(&format!("{{{{{}1}}}}", "(".repeat(5000))).contains("more than"));
    let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(5000));
    assert!(refusal(&chain).contains("more than"));
}
