"""Headline numbers for the tools in which people follow experiments: MLflow, Weights & Biases, the Hugging Face Hub."""
