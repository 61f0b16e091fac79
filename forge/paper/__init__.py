"""The paper that forge automates, measured: docs/paper.md."""
