"""Where in a frame which object may be, in one pass: the finder.

A network (`bundle`) gives each cell of an image pyramid an embedding, and each reference a few
(`references`); where the two are alike, an object is proposed (`finder`), with the place, size,
rotation and tilt that the cell tells (`outline`).
"""
