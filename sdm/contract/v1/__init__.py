"""Generated from proto/sdm/contract/v1 by `./dev protos`; nothing here is written by hand."""
