//! The attribute's options.

use std::ops::RangeInclusive;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, LitInt, LitStr, Path, Token, parenthesized};

/// What stands in the parentheses of `#[profile(...)]`.
pub(crate) enum Attribute {
    Profile(Options),
    /// `skip`: the item is left as it is.
    Skip,
}

/// All optional.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) runtime: Option<Path>,
    pub(crate) time: Option<Time>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) generic: Option<Generic>,
    pub(crate) labels: Option<Vec<Label>>,
    /// What is allocated is counted.
    pub(crate) alloc: bool,
    /// Not asked for: whether a macro on a block around will look at what is made here.
    pub(crate) is_seen_by_others: bool,
}

/// A key, and what its value is made of.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) key: LitStr,
    pub(crate) value: Expr,
    /// Of one that is called as an argument is: that.
    pub(crate) argument: Option<Ident>,
}

impl Parse for Label {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if let Ok(argument) = input.parse::<Ident>() {
            let key = LitStr::new(&argument.unraw().to_string(), argument.span());
            let value = syn::parse_quote!(#argument);
            return Ok(Label { key, value, argument: Some(argument) });
        }
        let message = "write the name of an argument, or `\"key\" = expression`";
        let mistake = |e: syn::Error| syn::Error::new(e.span(), message);
        let key: LitStr = input.parse().map_err(mistake)?;
        input.parse::<Token![=]>().map_err(mistake)?;
        Ok(Label { key, value: input.parse()?, argument: None })
    }
}

/// Which calls are timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    Exact,
    /// 1 of so many.
    Sampled(u32),
    Off,
}

/// The CPU time of 1 of so many calls is measured.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) every: u32,
    /// Where the function itself asks for it; `None` if a block around it does.
    pub(crate) asked_at: Option<Span>,
}

/// How many functions a generic one is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generic {
    One,
    Each,
}

impl Options {
    /// Where `pprof_runtime` is.
    pub(crate) fn runtime(&self) -> Path {
        self.runtime.clone().unwrap_or_else(|| syn::parse_quote!(::pprof_runtime))
    }

    /// With what a block around hands down, where a function says nothing itself.
    pub(crate) fn inside(self, outer: &Options) -> Options {
        let handed_down = outer.cpu.map(|cpu| Cpu { asked_at: None, ..cpu });
        // A name is that of all instances.
        let generic = if self.name.is_some() { None } else { outer.generic };
        Options {
            name: self.name,
            runtime: self.runtime.or_else(|| outer.runtime.clone()),
            time: self.time.or(outer.time),
            cpu: self.cpu.or(handed_down),
            generic: self.generic.or(generic),
            labels: self.labels,
            alloc: self.alloc || outer.alloc,
            is_seen_by_others: outer.is_seen_by_others,
        }
    }
}

enum Choice {
    Name(Ident, LitStr),
    Crate(Token![crate], Path),
    Time(Ident, Time),
    Cpu(Ident, u32),
    Generic(Ident, Generic),
    Labels(Ident, Vec<Label>),
    Alloc(Ident),
    Skip(Ident),
}

impl Choice {
    fn span(&self) -> Span {
        match self {
            Choice::Name(key, _)
            | Choice::Time(key, _)
            | Choice::Cpu(key, _)
            | Choice::Generic(key, _)
            | Choice::Labels(key, _)
            | Choice::Alloc(key)
            | Choice::Skip(key) => key.span(),
            Choice::Crate(key, _) => key.span,
        }
    }
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![crate]) {
            let token = input.parse()?;
            input.parse::<Token![=]>()?;
            return Ok(Choice::Crate(token, input.call(Path::parse_mod_style)?));
        }
        let key: Ident = input.parse()?;
        match key.to_string().as_str() {
            "name" => {
                input.parse::<Token![=]>()?;
                Ok(Choice::Name(key, input.parse()?))
            }
            "time" => time(input, &key).map(|time| Choice::Time(key, time)),
            "cpu" => cpu(input, &key).map(|every| Choice::Cpu(key, every)),
            "generic" => generic(input, &key).map(|generic| Choice::Generic(key, generic)),
            "labels" => labels(input, &key).map(|labels| Choice::Labels(key, labels)),
            "alloc" => Ok(Choice::Alloc(key)),
            "skip" => Ok(Choice::Skip(key)),
            other => {
                let message = format!(
                    "unknown option `{other}`: write `name = \"...\"`, `labels(...)`, `time = ...`, \
                     `cpu = sampled(N)`, `alloc`, `generic = each`, `crate = path` or `skip`"
                );
                Err(syn::Error::new(key.span(), message))
            }
        }
    }
}

fn labels(input: ParseStream<'_>, key: &Ident) -> syn::Result<Vec<Label>> {
    let message =
        "write which arguments are to be labels: `labels(user)`, `labels(\"user\" = user.id)`";
    if !input.peek(syn::token::Paren) {
        return Err(syn::Error::new(key.span(), message));
    }
    let inside;
    parenthesized!(inside in input);
    let labels = Punctuated::<Label, Token![,]>::parse_terminated(&inside)?;
    if labels.is_empty() {
        return Err(syn::Error::new(key.span(), message));
    }
    if let Some(empty) = labels.iter().find(|label| label.key.value().is_empty()) {
        return Err(syn::Error::new(empty.key.span(), "a label needs a key"));
    }
    Ok(labels.into_iter().collect())
}

fn time(input: ParseStream<'_>, key: &Ident) -> syn::Result<Time> {
    let message = "write `time = exact`, `time = sampled(64)` or `time = off`";
    let word = word(input, key, message)?;
    match word.to_string().as_str() {
        "exact" => Ok(Time::Exact),
        "off" => Ok(Time::Off),
        "sampled" => Ok(Time::Sampled(every(input, &word, message)?)),
        _ => Err(syn::Error::new(word.span(), message)),
    }
}

fn cpu(input: ParseStream<'_>, key: &Ident) -> syn::Result<u32> {
    let message =
        "write `cpu = sampled(64)`: each look at that clock is a system call, so not all calls are";
    let word = word(input, key, message)?;
    if word == "sampled" {
        return every(input, &word, message);
    }
    Err(syn::Error::new(word.span(), message))
}

fn generic(input: ParseStream<'_>, key: &Ident) -> syn::Result<Generic> {
    let message = "write `generic = one` or `generic = each`";
    let word = word(input, key, message)?;
    match word.to_string().as_str() {
        "one" => Ok(Generic::One),
        "each" => Ok(Generic::Each),
        _ => Err(syn::Error::new(word.span(), message)),
    }
}

/// What follows the `=` of an option that is one of several words.
fn word(input: ParseStream<'_>, key: &Ident, message: &str) -> syn::Result<Ident> {
    // The end of the options has no place of its own.
    let mistake = || {
        let place = if input.is_empty() { key.span() } else { input.span() };
        syn::Error::new(place, message)
    };
    input.parse::<Token![=]>().map_err(|_| mistake())?;
    input.parse().map_err(|_| mistake())
}

/// The number in the parentheses that follow `sampled`.
fn every(input: ParseStream<'_>, word: &Ident, message: &str) -> syn::Result<u32> {
    const ALLOWED: RangeInclusive<u32> = 1..=1_000_000;
    if !input.peek(syn::token::Paren) {
        return Err(syn::Error::new(word.span(), message));
    }
    let inside;
    parenthesized!(inside in input);
    let place = inside.span();
    let number = inside.parse::<LitInt>().and_then(|number| number.base10_parse());
    match number {
        Ok(number) if ALLOWED.contains(&number) && inside.is_empty() => Ok(number),
        _ => {
            // What is left would be an error of its own.
            inside.parse::<TokenStream>()?;
            let message =
                "one of how many calls is a whole number from 1 to 1000000: write `sampled(64)`";
            Err(syn::Error::new(place, message))
        }
    }
}

pub(crate) fn attribute(tokens: TokenStream) -> syn::Result<Attribute> {
    let parser = Punctuated::<Choice, Token![,]>::parse_terminated;
    let choices = syn::parse::Parser::parse2(parser, tokens)?;
    let (mut options, mut skip) = (Options::default(), None);
    let count = choices.len();
    for choice in choices {
        let span = choice.span();
        let is_twice = match choice {
            Choice::Name(_, value) => options.name.replace(value).is_some(),
            Choice::Crate(_, value) => options.runtime.replace(value).is_some(),
            Choice::Time(_, value) => options.time.replace(value).is_some(),
            Choice::Cpu(_, every) => {
                options.cpu.replace(Cpu { every, asked_at: Some(span) }).is_some()
            }
            Choice::Generic(_, value) => options.generic.replace(value).is_some(),
            Choice::Labels(_, value) => options.labels.replace(value).is_some(),
            Choice::Alloc(_) => std::mem::replace(&mut options.alloc, true),
            Choice::Skip(key) => skip.replace(key).is_some(),
        };
        if is_twice {
            return Err(syn::Error::new(span, "this option is given twice"));
        }
    }
    if let Some(skip) = skip {
        if count == 1 {
            return Ok(Attribute::Skip);
        }
        return Err(syn::Error::new(
            skip.span(),
            "what is skipped takes no other options: leave them out, or leave out `skip`",
        ));
    }
    if let Some(name) = &options.name {
        if name.value().is_empty() {
            return Err(syn::Error::new(name.span(), "the name is empty: leave the option out"));
        }
        if options.generic == Some(Generic::Each) {
            let message = "each instance is named after its types: leave out the name, or write `generic = one`";
            return Err(syn::Error::new(name.span(), message));
        }
    }
    Ok(Attribute::Profile(options))
}
