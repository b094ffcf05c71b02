"""Pictures with their stamps and cameras: of messages, bags, films and folders (no ROS, no torch).

One rule for EXIF orientation and a film's rotation tag: what a camera takes while running (images
of a topic or a bag, films, folders of frames, devices) keeps its stored order, because a camera's
calibration holds for the sensor's rows and columns. Only a photo that is taught is turned upright
as its EXIF says (`stn_ros.teaching.face.read_photo`): a person took it, and its rows become those
of the object.
"""
