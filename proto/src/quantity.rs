//! `resource.Quantity`: exact arithmetic on `500m`, `1Gi`, `1e3`.
