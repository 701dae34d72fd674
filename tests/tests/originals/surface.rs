//! The public surface of an original, as code that compiles only if another has it too.
//!
//! For each public function, of the original's own signature, a function that does nothing but call it:
//!
//! ```text
//! impl<T: ?Sized> Mutex<T> {                     trait Has7<T: ?Sized> { fn has_lock(&self) -> LockResult<MutexGuard<'_, T>>; }
//!     pub fn lock(&self)                   ──►   impl<T: ?Sized> Has7<T> for Mutex<T> {
//!         -> LockResult<MutexGuard<'_, T>>           fn has_lock(&self) -> LockResult<MutexGuard<'_, T>> { <Mutex<T>>::lock(self) }
//! }                                              }
//! impl<T: Default> Default for Mutex<T>    ──►   trait Is8<T: Default>: Default {}  impl<T: Default> Is8<T> for Mutex<T> {}
//! ```
//!
//! so that types, bounds, lifetimes, `const`, `async` and `unsafe` are compared by the compiler. What a type is without saying so (`Send`,
//! `Sync`, `Unpin`, unwind safe) is compared at run time, for contents of several kinds.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, FnArg, GenericParam, Generics, ImplItem, Item, ItemImpl, Path, Signature, Type,
    Visibility, parse_quote,
};

use crate::program::Module;
use crate::rewrite::Swaps;

/// What of an original is compared.
#[derive(Debug)]
pub(crate) struct Surface {
    pub(crate) files: &'static [SurfaceFile],
    /// What the original calls `crate`, and other names for what only it can name.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// Imports for the names in its signatures.
    pub(crate) imports: &'static str,
    /// Traits that stable code cannot name, or that say nothing.
    pub(crate) traits: &'static [&'static str],
    /// What ours does not have, as `Type::method` or `Trait for Type`.
    pub(crate) exceptions: &'static [Exception],
    /// Fewer checks are a mistake of the harness.
    pub(crate) at_least: usize,
}

#[derive(Debug)]
pub(crate) struct SurfaceFile {
    pub(crate) file: &'static str,
    /// The public module that has the file's items.
    pub(crate) module: &'static str,
    /// Further imports.
    pub(crate) imports: &'static str,
    /// Types that are in another module.
    pub(crate) elsewhere: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
#[allow(dead_code, reason = "reasons are for readers of the table")]
pub(crate) struct Exception {
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
}

/// Code of a root that surfaces use.
pub(crate) const ROOT: &str = r#"
    macro_rules! not_implemented {
        ($($name:ident $trait:path,)*) => {$(
            pub trait $name<Ambiguous> { fn is_not() {} }
            impl<T: ?Sized> $name<()> for T {}
            impl<T: ?Sized + $trait> $name<u8> for T {}
        )*};
    }
    not_implemented! { NotSend ::core::marker::Send, NotSync ::core::marker::Sync, NotUnpin ::core::marker::Unpin, }

    macro_rules! implements {
        ($trait:path, $type:ty) => {{
            trait No { const IS: bool = false; }
            impl<T: ?Sized> No for T {}
            struct Of<T: ?Sized>(::core::marker::PhantomData<T>);
            impl<T: ?Sized + $trait> Of<T> { const IS: bool = true; }
            <Of<$type>>::IS
        }};
    }
    macro_rules! same_auto_traits {
        ($theirs:ty, $ours:ty) => { same_auto_traits! { $theirs, $ours;
            ::core::marker::Send, ::core::marker::Sync, ::core::marker::Unpin,
            ::core::panic::UnwindSafe, ::core::panic::RefUnwindSafe,
        }};
        ($theirs:ty, $ours:ty; $($trait:path,)*) => {$(
            assert_eq!(
                implements!($trait, $theirs), implements!($trait, $ours),
                "{} of {}", stringify!($trait), ::core::any::type_name::<$theirs>(),
            );
        )*};
    }
    pub(crate) use implements;
    pub(crate) use same_auto_traits;
"#;

/// The module that compares a file's surface, and the number of its checks.
///
/// # Panics
/// If the file is no Rust.
pub(crate) fn module(
    surface: &Surface,
    file: &SurfaceFile,
    text: &str,
    swaps: &Swaps,
) -> (Module, usize) {
    let parsed = syn::parse_file(text).expect("an original is Rust");
    let mut found = Found { surface, file, types: Vec::new(), checks: Vec::new() };
    let items = flattened(parsed.items);
    for item in &items {
        found.type_item(item);
    }
    for item in &items {
        match item {
            Item::Impl(item) => found.implementation(item),
            Item::Fn(function) if is_public(&function.vis, &function.attrs) => {
                found.free_function(&function.sig, &function.attrs);
            }
            _ => {}
        }
    }
    found.module(swaps)
}

/// With what macros that only add conditions are made of.
fn flattened(items: Vec<Item>) -> Vec<Item> {
    let mut flat = Vec::new();
    for item in items {
        match &item {
            Item::Macro(inner)
                if inner
                    .mac
                    .path
                    .segments
                    .last()
                    .is_some_and(|s| s.ident.to_string().starts_with("cfg_")) =>
            {
                if let Ok(file) = syn::parse2::<syn::File>(inner.mac.tokens.clone()) {
                    flat.extend(flattened(file.items));
                }
            }
            _ => flat.push(item),
        }
    }
    flat
}

impl SurfaceFile {
    fn module_of(&self, name: &str) -> &'static str {
        let elsewhere = self.elsewhere.iter().find(|(of, _)| *of == name);
        elsewhere.map_or(self.module, |(_, module)| module)
    }
}

struct Found<'s> {
    surface: &'s Surface,
    file: &'s SurfaceFile,
    types: Vec<(String, Generics)>,
    checks: Vec<Check>,
}

/// A line of the generated module.
struct Check {
    line: usize,
    what: String,
    code: String,
}

impl Found<'_> {
    fn add(&mut self, line: usize, what: String, code: impl ToTokens) {
        if !self.is_exception(&what) {
            self.checks.push(Check { line, what, code: code.to_token_stream().to_string() });
        }
    }

    fn is_exception(&self, what: &str) -> bool {
        self.surface.exceptions.iter().any(|exception| exception.what == what)
    }

    fn type_item(&mut self, item: &Item) {
        let (ident, generics, vis, attrs) = match item {
            Item::Struct(item) => (&item.ident, &item.generics, &item.vis, &item.attrs),
            Item::Enum(item) => (&item.ident, &item.generics, &item.vis, &item.attrs),
            Item::Type(item) => {
                if is_public(&item.vis, &item.attrs) {
                    let name = &item.ident;
                    let path: Path = self.path(name.to_string().as_str());
                    self.add(line_of(name), name.to_string(), quote! { pub use #path as _; });
                }
                return;
            }
            _ => return,
        };
        if !is_public(vis, attrs) || self.is_exception(&ident.to_string()) {
            return;
        }
        self.types.push((ident.to_string(), generics.clone()));
        let path = self.path(&ident.to_string());
        self.add(line_of(ident), ident.to_string(), quote! { pub use #path as _; });
        if let Item::Enum(item) = item {
            for variant in &item.variants {
                let name = &variant.ident;
                let (parameters, arguments) = (declared(generics), arguments(generics));
                let pattern = match &variant.fields {
                    syn::Fields::Unit => quote! {},
                    syn::Fields::Unnamed(fields) => {
                        let holes = fields.unnamed.iter().map(|_| quote!(_));
                        quote! { ( #(#holes),* ) }
                    }
                    syn::Fields::Named(_) => quote! { { .. } },
                };
                self.add(
                    line_of(name),
                    format!("{ident}::{name}"),
                    quote! { fn variant #parameters (it: #ident #arguments) { if let #ident :: #name #pattern = it {} } },
                );
            }
        }
        let derives = attrs.iter().filter(|a| a.path().is_ident("derive"));
        for derive in derives {
            let paths = derive.parse_args_with(
                syn::punctuated::Punctuated::<Path, syn::Token![,]>::parse_terminated,
            );
            for derived in paths.into_iter().flatten() {
                let Some(path) = derived.get_ident().and_then(|name| derivable(&name.to_string()))
                else {
                    continue;
                };
                let mut bounded = generics.clone();
                for parameter in bounded.type_params_mut() {
                    parameter.bounds.push(parse_quote!(#path));
                }
                let arguments = arguments(generics);
                self.trait_check(&bounded, &path, &parse_quote!(#ident #arguments), line_of(ident));
            }
        }
    }

    fn path(&self, name: &str) -> Path {
        syn::parse_str(&format!("{}::{name}", self.file.module_of(name))).expect("a path")
    }

    fn is_ours(&self, ty: &Type) -> bool {
        match ty {
            Type::Reference(reference) => self.is_ours(&reference.elem),
            Type::Path(path) => {
                let last = path.path.segments.last().map(|s| s.ident.to_string());
                path.path.segments.len() == 1
                    && self.types.iter().any(|(name, _)| Some(name) == last.as_ref())
            }
            _ => false,
        }
    }

    fn implementation(&mut self, item: &ItemImpl) {
        if !self.is_ours(&item.self_ty) || is_hidden(&item.attrs) {
            return;
        }
        let cfg = conditions(&item.attrs);
        if let Some((negative, path, _)) = &item.trait_ {
            let line = line_of(item.impl_token);
            let name = path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
            if self.surface.traits.contains(&name.as_str()) {
                return;
            }
            if negative.is_some() {
                let (generics, ty) = (&item.generics, &item.self_ty);
                let (parameters, bounds) = (declared(generics), &generics.where_clause);
                let not = format_ident!("Not{name}");
                let code = quote! { #(#cfg)* fn is_not #parameters () #bounds { <#ty as super::super::#not<_>>::is_not() } };
                self.add(line, format!("!{name} for {}", shown(ty)), code);
            } else if cfg.is_empty() {
                self.trait_check(&item.generics, path, &item.self_ty, line);
            }
            return;
        }
        for inner in &item.items {
            match inner {
                ImplItem::Fn(function) if is_public(&function.vis, &function.attrs) => {
                    self.method(item, &function.sig, &function.attrs);
                }
                ImplItem::Macro(inner) => {
                    let tokens = &inner.mac.tokens;
                    let ty = &item.self_ty;
                    if let Ok(inner) = syn::parse2::<ItemImpl>(quote!(impl #ty { #tokens })) {
                        for inner in inner.items {
                            if let ImplItem::Fn(function) = inner
                                && is_public(&function.vis, &function.attrs)
                            {
                                self.method(item, &function.sig, &function.attrs);
                            }
                        }
                    }
                }
                ImplItem::Const(constant) if is_public(&constant.vis, &constant.attrs) => {
                    let (name, of, ty) = (&constant.ident, &item.self_ty, &constant.ty);
                    if item.generics.params.is_empty() {
                        let code = quote! { const HAS: #ty = <#of>::#name; };
                        self.add(line_of(name), format!("{}::{name}", shown(of)), code);
                    }
                }
                _ => {}
            }
        }
    }

    fn trait_check(&mut self, generics: &Generics, path: &Path, ty: &Type, line: usize) {
        let name = path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        if self.surface.traits.contains(&name.as_str()) {
            return;
        }
        let mut named = Named::of(generics, ty);
        let mut path = path.clone();
        named.visit_path_mut(&mut path);
        let (parameters, arguments) = (declared(&named.generics), arguments(&named.generics));
        let (bounds, ty) = (&named.generics.where_clause, &named.ty);
        let what = format!("{} for {}", shown(&path), shown(ty));
        // Twice, since bounds of the trait's parameters are no bounds of its implementation's.
        let code = quote! {
            pub trait Is #parameters : #path #bounds {}
            impl #parameters Is #arguments for #ty #bounds {}
        };
        self.add(line, what, code);
    }

    fn method(&mut self, item: &ItemImpl, signature: &Signature, attrs: &[Attribute]) {
        let ty = &item.self_ty;
        let named = Named::of(&item.generics, ty);
        let ty = &named.ty;
        let (parameters, arguments) = (declared(&named.generics), arguments(&named.generics));
        let bounds = &named.generics.where_clause;
        let name = &signature.ident;
        let what = format!("{}::{name}", shown(ty));
        let conditions: Vec<_> =
            conditions(&item.attrs).into_iter().chain(conditions(attrs)).collect();
        let has = format_ident!("has_{name}");
        let (declaration, values) = self.signature(signature, &has, ty);
        let turbofish = turbofish(&signature.generics);
        let mut call = quote! { <#ty>::#name #turbofish (#(#values),*) };
        if signature.unsafety.is_some() {
            call = quote! { unsafe { #call } };
        }
        if signature.asyncness.is_some() {
            call = quote! { #call.await };
        }
        let code = if signature.asyncness.is_some() {
            // What a future in a trait borrows has bounds that are not implied.
            let generics = merged(&named.generics, signature);
            let (bounds, generics) = (&generics.where_clause, declared(&generics));
            let receiver = signature.receiver().map(|receiver| {
                let mut of = (*receiver.ty).clone();
                SelfIs(ty).visit_type_mut(&mut of);
                quote!(this: #of,)
            });
            let inputs = typed_inputs(signature, ty);
            let mut output = signature.output.clone();
            SelfIs(ty).visit_return_type_mut(&mut output);
            let unsafety = &signature.unsafety;
            let this = receiver.is_some().then(|| quote!(this,));
            let values = values.iter().skip(usize::from(receiver.is_some()));
            let call = quote! { <#ty>::#name #turbofish (#this #(#values),*).await };
            quote! { #(#conditions)* async #unsafety fn #has #generics (#receiver #(#inputs),*) #output #bounds { #call } }
        } else {
            quote! {
                #(#conditions)* pub trait Has #parameters #bounds { #declaration; }
                #(#conditions)* impl #parameters Has #arguments for #ty #bounds { #declaration { #call } }
            }
        };
        self.add(line_of(name), what.clone(), code);
        let is_const = signature.constness.is_some()
            && !attrs.iter().any(|a| a.path().is_ident("rustc_const_unstable"))
            && signature.receiver().is_none();
        if is_const {
            let generics = merged(&named.generics, signature);
            let (bounds, generics) = (&generics.where_clause, declared(&generics));
            let inputs = &declaration_inputs(signature, ty);
            let mut output = signature.output.clone();
            SelfIs(ty).visit_return_type_mut(&mut output);
            let code = quote! {
                #(#conditions)* const fn has #generics (#inputs) #output #bounds { #call }
            };
            self.add(line_of(name), format!("const {what}"), code);
        }
    }

    fn free_function(&mut self, signature: &Signature, attrs: &[Attribute]) {
        let name = &signature.ident;
        let path = self.path(&name.to_string());
        let conditions = conditions(attrs);
        let has = format_ident!("has_{name}");
        let (declaration, values) = self.signature(signature, &has, &parse_quote!(()));
        let turbofish = turbofish(&signature.generics);
        let mut call = quote! { #path #turbofish (#(#values),*) };
        if signature.unsafety.is_some() {
            call = quote! { unsafe { #call } };
        }
        if signature.asyncness.is_some() {
            call = quote! { #call.await };
        }
        let constant = signature
            .constness
            .filter(|_| !attrs.iter().any(|a| a.path().is_ident("rustc_const_unstable")));
        self.add(
            line_of(name),
            name.to_string(),
            quote! { #(#conditions)* #constant #declaration { #call } },
        );
    }

    /// The signature under another name with other names of its arguments, and those.
    fn signature(
        &self,
        signature: &Signature,
        name: &syn::Ident,
        ty: &Type,
    ) -> (TokenStream, Vec<TokenStream>) {
        let values = signature
            .inputs
            .iter()
            .enumerate()
            .map(|(i, input)| match input {
                FnArg::Receiver(_) => quote!(self),
                FnArg::Typed(_) => format_ident!("a{i}").to_token_stream(),
            })
            .collect();
        let inputs = declaration_inputs(signature, ty);
        let mut output = signature.output.clone();
        SelfIs(ty).visit_return_type_mut(&mut output);
        let Signature { asyncness, unsafety, generics, .. } = signature;
        let bounds = &generics.where_clause;
        (quote! { #asyncness #unsafety fn #name #generics (#inputs) #output #bounds }, values)
    }

    fn module(self, swaps: &Swaps) -> (Module, usize) {
        let Found { surface, file, types, checks } = self;
        let names = Swaps::renames(surface.names);
        let elsewhere =
            file.elsewhere.iter().map(|(name, module)| format!("pub use {module}::{name};"));
        let imports = [surface.imports, file.imports, &elsewhere.collect::<String>()].join(" ");
        let mut text = format!(
            "#![allow(warnings)] mod imports {{ {imports} pub use {}::*; }}\n",
            file.module
        );
        let mut places = vec![String::new()];
        for (index, check) in checks.iter().enumerate() {
            text += &format!("mod check_{index} {{ use super::imports::*; {} }}\n", check.code);
            places.push(format!("{}:{}: {}", file.file, check.line, check.what));
        }
        let rewrite = |text: &str| {
            names
                .rewrite(text)
                .and_then(|text| swaps.rewrite(&text))
                .expect("what was made of Rust is Rust")
        };
        let mut text = rewrite(&text);
        let mut count = checks.len();
        for (name, generics) in &types {
            let module: Vec<String> = file.module_of(name).split("::").map(str::to_owned).collect();
            let path = [&module[..], std::slice::from_ref(name)].concat();
            let ours = swaps.path(&path).unwrap_or_else(|| path.join("::"));
            let contents = [
                "u8",
                "::std::cell::Cell<u8>",
                "::std::rc::Rc<u8>",
                "::std::sync::MutexGuard<'static, u8>",
                "&'static mut u8",
            ];
            let is_generic = generics.type_params().next().is_some();
            if generics.const_params().next().is_some() {
                continue;
            }
            let mut comparisons = String::new();
            for content in contents.iter().take(if is_generic { contents.len() } else { 1 }) {
                let arguments: Vec<&str> = generics
                    .params
                    .iter()
                    .filter_map(|parameter| match parameter {
                        GenericParam::Lifetime(_) => Some("'static"),
                        GenericParam::Type(ty) if ty.default.is_none() => Some(*content),
                        _ => None,
                    })
                    .collect();
                let of = if arguments.is_empty() {
                    String::new()
                } else {
                    format!("<{}>", arguments.join(", "))
                };
                comparisons +=
                    &format!("crate::same_auto_traits!(::{}{of}, ::{ours}{of}); ", path.join("::"));
            }
            text += &format!(
                "#[test] fn auto_traits_{} () {{ use crate::implements; {comparisons} }}\n",
                name.to_lowercase()
            );
            places.push(format!("{}:1: auto traits of {name}", file.file));
            count += 1;
        }
        let name: String = file
            .file
            .trim_end_matches(".rs")
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        let module =
            Module { name: format!("s_{name}"), text, file: file.file.to_owned(), line: 1, places };
        (module, count)
    }
}

/// The parameters of a type and of its function, as those of a function outside.
fn merged(outer: &Generics, signature: &Signature) -> Generics {
    let mut generics = outer.clone();
    for parameter in signature.generics.params.iter().cloned() {
        let is_lifetime = matches!(parameter, GenericParam::Lifetime(_));
        let at = if is_lifetime { 0 } else { generics.params.len() };
        generics.params.insert(at, parameter);
    }
    if let Some(own) = &signature.generics.where_clause {
        generics.make_where_clause().predicates.extend(own.predicates.iter().cloned());
    }
    generics
}

fn declaration_inputs(signature: &Signature, ty: &Type) -> TokenStream {
    let receiver = signature.receiver().map(|receiver| {
        let mut receiver = receiver.clone();
        receiver.attrs.clear();
        // `mut self` is the implementation's affair.
        if receiver.reference.is_none() {
            receiver.mutability = None;
        }
        quote!(#receiver,)
    });
    let inputs = typed_inputs(signature, ty);
    quote!(#receiver #(#inputs),*)
}

/// Those that are not the receiver.
fn typed_inputs(signature: &Signature, ty: &Type) -> Vec<TokenStream> {
    let typed = signature.inputs.iter().enumerate().filter_map(|(i, input)| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(typed) => Some((format_ident!("a{i}"), (*typed.ty).clone())),
    });
    typed
        .map(|(name, mut of)| {
            SelfIs(ty).visit_type_mut(&mut of);
            quote!(#name: #of)
        })
        .collect()
}

/// `impl Mutex<'_, T>` with its lifetimes named, so that a trait can have them.
struct Named {
    generics: Generics,
    ty: Type,
    added: usize,
}

impl Named {
    fn of(generics: &Generics, ty: &Type) -> Named {
        let mut named = Named { generics: generics.clone(), ty: ty.clone(), added: 0 };
        let mut ty = named.ty.clone();
        named.visit_type_mut(&mut ty);
        named.ty = ty;
        named
    }
}

impl VisitMut for Named {
    fn visit_lifetime_mut(&mut self, lifetime: &mut syn::Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = syn::Lifetime::new(&format!("'named{}", self.added), lifetime.span());
            self.added += 1;
            let parameter: GenericParam = parse_quote!(#lifetime);
            self.generics.params.insert(0, parameter);
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        reference.lifetime.get_or_insert_with(|| parse_quote!('_));
        syn::visit_mut::visit_type_reference_mut(self, reference);
    }
}

/// `Self` is this.
struct SelfIs<'t>(&'t Type);

impl VisitMut for SelfIs<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::Path(path) if path.path.is_ident("Self") => *ty = self.0.clone(),
            _ => syn::visit_mut::visit_type_mut(self, ty),
        }
    }
}

/// `<'a, T: Bound>`, without defaults.
fn declared(generics: &Generics) -> TokenStream {
    let mut generics = generics.clone();
    for parameter in &mut generics.params {
        match parameter {
            GenericParam::Type(ty) => {
                ty.default = None;
                ty.eq_token = None;
            }
            GenericParam::Const(constant) => {
                constant.default = None;
                constant.eq_token = None;
            }
            GenericParam::Lifetime(_) => {}
        }
    }
    let params = &generics.params;
    quote!(<#params>)
}

/// `<'a, T>`.
fn arguments(generics: &Generics) -> TokenStream {
    let (_, arguments, _) = generics.split_for_impl();
    arguments.to_token_stream()
}

/// `::<T>`, of a function that is told its types: those that `impl Trait` stands for cannot be.
fn turbofish(generics: &Generics) -> TokenStream {
    let types: Vec<_> = generics.type_params().map(|parameter| &parameter.ident).collect();
    if types.is_empty() { quote!() } else { quote!(::<#(#types),*>) }
}

/// What `derive` means by a name, which need not be in scope.
fn derivable(name: &str) -> Option<Path> {
    let module = match name {
        "Debug" => "fmt",
        "Clone" => "clone",
        "Copy" => "marker",
        "PartialEq" | "Eq" | "PartialOrd" | "Ord" => "cmp",
        "Hash" => "hash",
        "Default" => "default",
        _ => return None,
    };
    syn::parse_str(&format!("::core::{module}::{name}")).ok()
}

fn is_public(vis: &Visibility, attrs: &[Attribute]) -> bool {
    matches!(vis, Visibility::Public(_)) && !is_hidden(attrs)
}

/// Unstable, or not documented.
fn is_hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attribute| {
        let is_doc_hidden = attribute.path().is_ident("doc")
            && attribute.meta.to_token_stream().to_string().contains("hidden");
        attribute.path().is_ident("unstable") || is_doc_hidden
    })
}

fn conditions(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect()
}

fn shown(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

fn line_of(token: impl syn::spanned::Spanned) -> usize {
    token.span().start().line
}
