"""Where a training's curve is shown beside its own records: TensorBoard, W&B, MLflow, SwanLab, and others' sinks."""
