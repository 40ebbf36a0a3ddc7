"""From a puzzle to what a model is asked: templates, prompts, links.

Tokenizers are passed in; needs no torch.
"""
