"""The search bar and the API's filters: one grammar, one declaration a model, one meaning on every database.

`grammar` turns any text into terms and knows neither Django nor any model. `fields` are the kinds of filter
a model can declare (`Text`, `Choice`, `Host`, `Address`, `Tags`), each turning a value into a condition. `filters`
holds a model's declaration and reads a text with it: the condition, and what to tell the person who typed it.
`changes` looks for what to offer when nothing is found. `completions` answers while the text is being typed.
`lookups` is the one comparison that the databases do not share.
"""
