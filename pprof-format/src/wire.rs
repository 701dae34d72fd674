//! The wire codec: prost's encoding of each field, told once per message in a table.
//!
//! prost's derive would do the same at the price of ten more crates in every user's tree. Unlike it, texts that are not
//! UTF-8 are read with replacement characters: Go writes whatever bytes a symbol has.

use prost::DecodeError;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{
    DecodeContext, WireType, bool, bytes, int64, message, skip_field, string, uint64,
};

use crate::model::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// A field's value as it stands in a message: absent when it is the default.
trait Field {
    fn encode(&self, tag: u32, buf: &mut impl BufMut);
    fn encoded_len(&self, tag: u32) -> usize;
    fn merge(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError>;
}

macro_rules! scalar {
    ($ty:ty, $codec:ident) => {
        impl Field for $ty {
            fn encode(&self, tag: u32, buf: &mut impl BufMut) {
                if *self != <$ty>::default() {
                    $codec::encode(tag, self, buf);
                }
            }
            fn encoded_len(&self, tag: u32) -> usize {
                if *self == <$ty>::default() { 0 } else { $codec::encoded_len(tag, self) }
            }
            fn merge(
                &mut self,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                $codec::merge(wire_type, self, buf, ctx)
            }
        }
    };
}

scalar!(i64, int64);
scalar!(u64, uint64);
scalar!(bool, bool);

macro_rules! packed {
    ($ty:ty, $codec:ident) => {
        impl Field for Vec<$ty> {
            fn encode(&self, tag: u32, buf: &mut impl BufMut) {
                $codec::encode_packed(tag, self, buf);
            }
            fn encoded_len(&self, tag: u32) -> usize {
                $codec::encoded_len_packed(tag, self)
            }
            /// Packed or one by one, as older writers do.
            fn merge(
                &mut self,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                $codec::merge_repeated(wire_type, self, buf, ctx)
            }
        }
    };
}

packed!(i64, int64);
packed!(u64, uint64);

impl Field for Vec<String> {
    fn encode(&self, tag: u32, buf: &mut impl BufMut) {
        string::encode_repeated(tag, self, buf);
    }
    fn encoded_len(&self, tag: u32) -> usize {
        string::encoded_len_repeated(tag, self)
    }
    fn merge(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut raw = Vec::new();
        bytes::merge(wire_type, &mut raw, buf, ctx)?;
        self.push(match String::from_utf8(raw) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        });
        Ok(())
    }
}

impl Field for Option<ValueType> {
    fn encode(&self, tag: u32, buf: &mut impl BufMut) {
        if let Some(value) = self {
            message::encode(tag, value, buf);
        }
    }
    fn encoded_len(&self, tag: u32) -> usize {
        self.as_ref().map_or(0, |value| message::encoded_len(tag, value))
    }
    fn merge(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        message::merge(wire_type, self.get_or_insert_default(), buf, ctx)
    }
}

/// `impl Message` for a type from its fields' tags, and `Field` for a list of it.
macro_rules! message {
    ($ty:ident { $($tag:literal => $field:ident),* $(,)? }) => {
        impl Message for $ty {
            fn encode_raw(&self, buf: &mut impl BufMut) {
                $(Field::encode(&self.$field, $tag, buf);)*
            }
            fn encoded_len(&self) -> usize {
                0 $(+ Field::encoded_len(&self.$field, $tag))*
            }
            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                match tag {
                    $($tag => Field::merge(&mut self.$field, wire_type, buf, ctx)
                        .map_err(|mut e| {
                            e.push(stringify!($ty), stringify!($field));
                            e
                        }),)*
                    _ => skip_field(wire_type, tag, buf, ctx),
                }
            }
            fn clear(&mut self) {
                *self = Self::default();
            }
        }

        impl Field for Vec<$ty> {
            fn encode(&self, tag: u32, buf: &mut impl BufMut) {
                message::encode_repeated(tag, self, buf);
            }
            fn encoded_len(&self, tag: u32) -> usize {
                message::encoded_len_repeated(tag, self)
            }
            fn merge(
                &mut self,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                message::merge_repeated(wire_type, self, buf, ctx)
            }
        }
    };
}

message!(Profile {
    1 => sample_type,
    2 => sample,
    3 => mapping,
    4 => location,
    5 => function,
    6 => string_table,
    7 => drop_frames,
    8 => keep_frames,
    9 => time_nanos,
    10 => duration_nanos,
    11 => period_type,
    12 => period,
    13 => comment,
    14 => default_sample_type,
    15 => doc_url,
});
message!(ValueType { 1 => ty, 2 => unit });
message!(Sample { 1 => location_id, 2 => value, 3 => label });
message!(Label { 1 => key, 2 => str, 3 => num, 4 => num_unit });
message!(Mapping {
    1 => id,
    2 => memory_start,
    3 => memory_limit,
    4 => file_offset,
    5 => filename,
    6 => build_id,
    7 => has_functions,
    8 => has_filenames,
    9 => has_line_numbers,
    10 => has_inline_frames,
});
message!(Location { 1 => id, 2 => mapping_id, 3 => address, 4 => line, 5 => is_folded });
message!(Line { 1 => function_id, 2 => line, 3 => column });
message!(Function { 1 => id, 2 => name, 3 => system_name, 4 => filename, 5 => start_line });
