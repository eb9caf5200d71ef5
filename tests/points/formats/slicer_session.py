"""3D Slicer without its window: its own nodes are clicked, opened and saved by its own code."""

from pathlib import Path

import numpy as np

from tests.optional import optional_package

slicer = optional_package("slicer", "needs 3D Slicer's libraries: pip install slicer-core")
vtk = optional_package("vtkmodules.vtkCommonCore", "comes with slicer-core")

RAS = np.array([-1, -1, 1])
UNDEFINED = 0


class Session:
    """A scene of 3D Slicer. Positions are LPS here, and RAS in its nodes."""

    def __init__(self):
        # It warns that there is no window.
        vtk.vtkObject.GlobalWarningDisplayOff()
        self.scene = slicer.vtkMRMLScene()
        selection = slicer.vtkMRMLSelectionNode()
        selection.SetSingletonTag("Singleton")
        self.scene.AddNode(selection)
        self.logic = slicer.vtkSlicerMarkupsLogic()
        self.logic.SetMRMLScene(self.scene)

    def new_list(self, positions, labels=None):
        """A point list with 3D Slicer's own labels, or with the annotator's."""
        node = self.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
        for n, position in enumerate(positions):
            node.AddControlPoint(*(position * RAS).tolist())
            if labels:
                node.SetNthControlPointLabel(n, labels[n])
        return node

    def new_box(self, centre, size):
        node = self.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        node.SetCenter(*(np.asarray(centre) * RAS).tolist())
        node.SetSize(*size)
        return node

    def open(self, path):
        """The list in a file, opened as by dragging it into the window."""
        load = self.logic.LoadMarkupsFromFcsv if path.suffix == ".fcsv" else self.logic.LoadMarkupsFromJson
        return self.scene.GetNodeByID(load(str(path)))

    @staticmethod
    def place_next(node, position):
        """Place the point that the mode "place multiple control points" asks for, and return its label."""
        index = next(
            n for n in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(n) == UNDEFINED
        )
        node.SetNthControlPointPosition(index, *(np.asarray(position) * RAS).tolist())
        return node.GetNthControlPointLabel(index)

    def save(self, node, path: Path, *, ras=False):
        if path.suffix in (".csv", ".tsv"):
            assert self.logic.ExportControlPointsToCSV(node, str(path), not ras)
            return path
        if node.IsA("vtkMRMLMarkupsROINode"):
            storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
        elif path.suffix == ".fcsv":
            storage = slicer.vtkMRMLMarkupsFiducialStorageNode()
        else:
            storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        if ras:
            storage.UseRASOn()
        storage.SetFileName(str(path))
        assert storage.WriteData(node)
        return path
