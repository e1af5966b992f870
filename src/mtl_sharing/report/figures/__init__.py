"""Pictures of a report: what each shows is a value of its own, drawn by matplotlib into SVG."""
