"""ROS 2 nodes: messages in and out, parameters, life cycle; no algorithm."""
