"""The search bar and the API's filters: one grammar, one declaration a model, one meaning on every database.

`grammar` turns any text into terms and knows neither Django nor any model. `fields` are the kinds of filter a
model can declare (`Text`, `Address`, `Tags`, `Choice`), each compiling a value to a condition. `filters` holds
a model's declaration and reads a text with it: the condition, what to tell the person who typed it, and what
to do when nothing is found. `lookups` is the one comparison the databases have to agree on, and `completions`
answers while a search is being typed.
"""
