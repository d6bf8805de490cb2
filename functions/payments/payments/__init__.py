"""What was authorized, captured and given back."""
