"""What a call through another library's interface costs beyond the bare call."""
