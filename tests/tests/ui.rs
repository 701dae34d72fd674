//! What the compiler tells users of `#[profile]`, `#[pprof_runtime::main]` and `select!`, and that it tells them nothing where all is well.
//!
//! `TRYBUILD=overwrite cargo test -p pprof-tests --test ui` writes the expectations anew.

#[test]
fn mistakes_are_explained_where_they_are() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/accepted.rs");
    for case in [
        "const_fn",
        "naked",
        "on_struct",
        "on_file_module",
        "name_on_block",
        "skip_and_more",
        "no_body",
        "unknown_option",
        "option_twice",
        "labels",
        "wrong_options",
        "empty_name",
        "twice",
        "wrong_result",
        "wrong_body_in_block",
        "select_mistakes",
        "main_on_another",
        "main_async",
        "main_options",
        "main_twice",
        "main_const",
    ] {
        cases.compile_fail(format!("ui/{case}.rs"));
    }
}
