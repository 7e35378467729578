"""The paper's conclusions, each with the rule that judges it."""
