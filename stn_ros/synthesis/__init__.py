"""Pictures of flat objects rendered with exact truth."""
