"""Transform families, homographies, camera and pose mathematics (numpy and OpenCV only)."""
