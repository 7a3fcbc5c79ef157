"""From committed events to messages: who hears what, in which words, and by which channel."""
