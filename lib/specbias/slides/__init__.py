"""A chapter as slides: derived by rules from its page, and shown by reveal.js from one file."""
