"""What markets believe: price sources computed from their leaves, and when feeds speak."""
