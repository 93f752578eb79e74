//! The four ways to patch an object, as pure functions of JSON values: [`json`], [`merge`], [`strategic`], [`apply`].
