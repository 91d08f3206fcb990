"""Every error Mozhu raises on purpose, on one page.

    MozhuError
    ├── UsageError      exit 2   the command, flag, preset or value is wrong
    ├── DataError       exit 3   a file, a row or a model folder is not what it should be
    ├── MachineError    exit 4   the machine or a library cannot do it
    ├── StateError      exit 5   it conflicts with what is there
    ├── DeniedError     exit 6   not allowed
    └── InternalError   exit 70  a bug of ours; an incident file holds the details

Each class has a stable ``code``, an HTTP ``status`` and an ``exit_code``. Its words are in the text
catalogue, page = area of the code in lower case, three entries each: ``<CODE>.what`` (what happened
and where), ``<CODE>.expected`` and ``<CODE>.next`` (what to do, as a command where there is one).
"""

from __future__ import annotations

from typing import ClassVar

from mozhu.kernel.texts import text


class MozhuError(Exception):
    """The root. ``params`` fill the places of the error's texts and travel to REST as they are."""

    code: ClassVar[str] = ""
    status: ClassVar[int] = 400
    exit_code: ClassVar[int] = 2

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(self.code, params)

    @property
    def what(self) -> str:
        return self._text("what")

    @property
    def expected(self) -> str:
        return self._text("expected")

    @property
    def next(self) -> str:
        return self._text("next")

    def __str__(self) -> str:
        parts = [self.what, self.expected, self.next]
        return f"[{self.code}] " + " ".join(part for part in parts if part)

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.what,
            "expected": self.expected,
            "next": self.next,
            "params": {name: _plain(value) for name, value in self.params.items()},
        }

    def _text(self, part: str) -> str:
        area = self.code.split("-")[0].lower()
        shown = {name: shown_value(value) for name, value in self.params.items()}
        return text(f"{area}.{self.code}.{part}", **shown)


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def shown_value(value: object) -> str:
    """A parameter as it stands in a text: lists as quoted words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(f"`{item}`" for item in value)
    return str(value)


class UsageError(MozhuError):
    status = 400
    exit_code = 2


class DataError(MozhuError):
    status = 422
    exit_code = 3


class MachineError(MozhuError):
    status = 503
    exit_code = 4


class StateError(MozhuError):
    status = 409
    exit_code = 5


class DeniedError(MozhuError):
    status = 403
    exit_code = 6


class InternalError(MozhuError):
    """A bug of ours. ``incident`` is the file with the details."""

    code = "BUG-001"
    status = 500
    exit_code = 70


# ---------------------------------------------------------------- command line
class UnknownVerb(UsageError):
    code = "CLI-001"


class UnknownFlag(UsageError):
    code = "CLI-002"


class BadUsage(UsageError):
    code = "CLI-003"


# ---------------------------------------------------------------- specs and settings
class InvalidSpec(UsageError):
    """One or more values are wrong; ``problems`` lists all of them, one a line."""

    code = "SPEC-001"
    status = 422


class UnknownPreset(UsageError):
    code = "SPEC-002"


class BadConfigFile(UsageError):
    code = "SPEC-003"


# ---------------------------------------------------------------- files
class MissingFile(DataError):
    code = "FILE-001"
    status = 404


class NotWritable(MachineError):
    code = "FILE-002"
    status = 507


class DiskFull(MachineError):
    code = "FILE-003"
    status = 507


class BadJson(DataError):
    code = "FILE-004"


class NotReadable(MachineError):
    code = "FILE-005"


class DamagedRecord(DataError):
    """A record file (spec, result, manifest …) does not hold what its schema says."""

    code = "FILE-006"


class TargetExists(StateError):
    code = "FILE-007"


class BadName(UsageError):
    code = "FILE-008"


class NotText(DataError):
    """A file that should hold text holds bytes that are not UTF-8."""

    code = "FILE-009"


# ---------------------------------------------------------------- runs
class NotARun(DataError):
    code = "RUN-001"
    status = 404


class SpecConflict(StateError):
    code = "RUN-002"


class RunBusy(StateError):
    code = "RUN-003"


class RunCancelled(MozhuError):
    """Not a fault: somebody asked the run to stop. The shell's own code for Ctrl-C is 130."""

    code = "RUN-004"
    status = 409
    exit_code = 130


class RunDied(MachineError):
    """The engine's process ended without a result (killed, out of memory, machine went down)."""

    code = "RUN-005"


class FolderInUse(StateError):
    """The output folder holds other files and is not a run."""

    code = "RUN-006"


class RunWithoutModel(StateError):
    """A model was asked for of a run that has made none yet (it runs, or was cut off before its first checkpoint)."""

    code = "RUN-007"


# ---------------------------------------------------------------- machine and libraries
class MissingExtra(MachineError):
    code = "ENV-001"


class NotEnoughMemory(MachineError):
    code = "ENV-002"


class OfflineHub(MachineError):
    code = "ENV-003"


class UnknownSlotName(UsageError):
    code = "ENV-004"


class UnknownEngine(UsageError):
    """No engine of this name has an environment of its own."""

    code = "ENV-020"


class EngineInstallOffline(MachineError):
    """Nothing that has packages could be reached."""

    code = "ENV-021"


class EngineInstallFailed(MachineError):
    """The installer ended with an error; ``reason`` holds its own words."""

    code = "ENV-022"


class EngineIncomplete(MachineError):
    """An environment in which something that the engine needs cannot be imported."""

    code = "ENV-023"


class EngineBusy(StateError):
    """Another process makes or removes the same environment."""

    code = "ENV-024"


class EngineNeedsRoom(MachineError):
    """Less free than an engine's environment takes."""

    code = "ENV-025"
    status = 507


class HubFailed(MachineError):
    """A hub was asked, as the settings allow, and did not give the data set or the model."""

    code = "ENV-005"


class NoRoomForDownload(MachineError):
    """The files of a model are larger than what is free where they are to lie."""

    code = "ENV-006"
    status = 507


# ---------------------------------------------------------------- models
class NotAModel(DataError):
    code = "MODEL-001"


class UnknownModel(DataError):
    code = "MODEL-002"
    status = 404


class NoChatTemplate(DataError):
    code = "MODEL-003"


class DamagedWeights(DataError):
    code = "MODEL-004"


class UnsafeWeights(DeniedError):
    code = "MODEL-005"
    status = 422


class AdapterWithoutBase(DataError):
    """The base of an adapter is not on this machine, or is itself an adapter."""

    code = "MODEL-006"


class TemplateRewritesTurns(DataError):
    """Later turns change how an earlier answer is written, so one text cannot hold both."""

    code = "MODEL-007"


class BaseMismatch(StateError):
    """An adapter is about to be put on another base than the one it was trained on."""

    code = "MODEL-008"


class AdapterDoesNotFit(DataError):
    code = "MODEL-009"


class AmbiguousModel(UsageError):
    code = "MODEL-010"


class RefusedConversation(DataError):
    """The model's own template does not accept these messages."""

    code = "MODEL-011"


class UnreadableTokenizer(DataError):
    code = "MODEL-012"


class UnsupportedModel(MachineError):
    """The libraries on this machine cannot load this architecture without running code from its folder."""

    code = "MODEL-013"


class WrongDevice(MachineError):
    code = "MODEL-014"


class EncodersDisagree(StateError):
    """The quick encoder gave other ids than the tokenizer's own: nothing that it encoded is kept."""

    code = "MODEL-015"


# ---------------------------------------------------------------- what strangers hand in
class UnsafeUpload(DeniedError):
    """A file, archive or folder that is not to be loaded; ``problems`` lists why, one a line."""

    code = "SAFE-001"
    status = 422


# ---------------------------------------------------------------- data
class UnknownDataset(DataError):
    code = "DATA-001"
    status = 404


class UnknownRowShape(DataError):
    code = "DATA-002"


class NoUsableRows(DataError):
    """Not one row can be used; ``reasons`` says why, one a line."""

    code = "DATA-003"


class UnknownFileFormat(DataError):
    code = "DATA-004"


class ChangedSnapshot(DataError):
    """A part of a snapshot no longer has the bytes that ``snapshot.json`` names."""

    code = "DATA-005"


class TooManyRejectedRows(DataError):
    code = "DATA-006"


class UnconvertibleRows(DataError):
    """``reasons`` lists every row that cannot be converted, one a line."""

    code = "DATA-007"


class DamagedDataFile(DataError):
    """A packed, Parquet, Arrow or Excel file that ends too early or holds what it must not."""

    code = "DATA-010"


class WrongStage(DataError):
    """Rows of one kind, such as preferences, given to training that learns from another."""

    code = "DATA-011"


class BadColumns(UsageError):
    """``--columns`` that cannot be read, or that names no field of the rows."""

    code = "DATA-012"


class UnknownSubset(DataError):
    code = "DATA-013"
    status = 404


class UnusableEntry(DataError):
    """An entry of LLaMA-Factory's ``dataset_info.json`` that cannot be read from files."""

    code = "DATA-014"


class BadDataTarget(UsageError):
    """A file name that does not say in which of the known formats to write."""

    code = "DATA-015"


class UnknownRow(DataError):
    """A data set has no row of this number or id."""

    code = "DATA-030"
    status = 404


class UnknownFixers(UsageError):
    """Names that are no fixer's; ``near`` holds the nearest, ``known`` all."""

    code = "DATA-041"


class OpposedFixers(UsageError):
    """Two fixers of which each undoes the other."""

    code = "DATA-042"


class NoSplitField(DataError):
    """Rows without the field that the split goes by; ``lines`` names the first of them."""

    code = "DATA-043"


class ParityBroken(StateError):
    """What would be trained is not what would be served; ``problems`` lists every finding, one a line."""

    code = "DATA-250"


# ---------------------------------------------------------------- training
class NoTrainableTokens(DataError):
    code = "TRAIN-001"


class UnsupportedTraining(UsageError):
    code = "TRAIN-002"


class LossNotFinite(DataError):
    code = "TRAIN-003"


class AdapterAsBase(UsageError):
    """Training on top of an adapter: it has to be merged first."""

    code = "TRAIN-004"


class PreflightFailed(UsageError):
    """One or more findings stand against the run; ``problems`` lists them, one a line."""

    code = "TRAIN-005"


class ValidationNotFinite(DataError):
    """The validation rows have no finite loss: the weights are spoilt, or were from the start."""

    code = "TRAIN-091"


class WeightsNotFinite(DataError):
    """Trained weights hold NaN or infinities; no checkpoint is made of them."""

    code = "TRAIN-092"


class OneLabel(DataError):
    """All rows of a data set have the same label, so that nothing tells them apart."""

    code = "TRAIN-093"


class WillNotFit(MachineError):
    """The forecast needs more memory than the whole machine has."""

    code = "TRAIN-006"


class BaseChangedMeanwhile(StateError):
    """The base's files were changed between the start of a run and its end (or its resumption)."""

    code = "TRAIN-007"


class TooManyLostRows(DataError):
    """More rows than allowed would not be trained on; ``reasons`` lists why, one a line."""

    code = "TRAIN-008"


class StageNeedsFlatRows(UsageError):
    """The model or the method cannot keep rows apart that are laid end to end, which the stage needs."""

    code = "TRAIN-009"


class EngineMissing(MachineError):
    """The engine has an environment of its own, and it is not here."""

    code = "TRAIN-060"


class UnsupportedByEngine(UsageError):
    """Fields that this engine cannot do; ``problems`` lists all of them, one a line."""

    code = "TRAIN-062"


class EngineStopped(MachineError):
    """The engine's own process ended before the training did; ``tail`` holds its last words."""

    code = "TRAIN-063"


class UnsupportedForeignConfig(UsageError):
    """Settings of another program that change what is learned and cannot be had; ``problems`` lists them all."""

    code = "TRAIN-101"
    status = 422


class WrongForeignConfig(UsageError):
    """Values in another program's configuration that their keys cannot have; ``problems`` lists them all."""

    code = "TRAIN-102"
    status = 422


class UnknownForeignConfig(UsageError):
    """A file that is no training configuration of a program that we can read."""

    code = "TRAIN-103"
    status = 422


class UnreadableForeignConfig(DataError):
    """A configuration of another program that is no YAML, JSON or shell command."""

    code = "TRAIN-104"


class RankDied(MachineError):
    """One of a training's processes ended without a word; ``status`` is its exit code, or minus the signal."""

    code = "TRAIN-071"


class RankFailed(MachineError):
    """One of a training's processes failed in a way that has no error of its own."""

    code = "TRAIN-072"


class NotEnoughDisk(MachineError):
    """The forecast needs more room than the disk of the run folder has."""

    code = "TRAIN-033"
    status = 507


# ---------------------------------------------------------------- inference
class NoQuestion(UsageError):
    code = "INFER-001"


class PromptTooLong(DataError):
    code = "INFER-002"


class SeesNoImages(UsageError):
    """Pictures for a model that is no vision-language model, or one of a kind that cannot be shown any here."""

    code = "INFER-004"


class NoAnswerToScore(UsageError):
    """A reward model scores an answer, and there is none."""

    code = "INFER-003"


class NoSuchAdapter(UsageError):
    """An answer was asked of an adapter that is not loaded; ``known`` lists those that are."""

    code = "INFER-010"
    status = 404


# ---------------------------------------------------------------- registry
class UnknownReference(DataError):
    """No model, version or alias of this name; ``known`` holds the nearest ones."""

    code = "REG-001"
    status = 404


class VersionTaken(StateError):
    code = "REG-002"


class NothingToRegister(DataError):
    code = "REG-003"


class FailedCertificate(DataError):
    code = "REG-004"


class DamagedArtefact(DataError):
    """What was to be registered is damaged; ``problems`` lists all of it, one a line."""

    code = "REG-005"


class RegistryBusy(StateError):
    code = "REG-006"
    status = 503


class DamagedRegistry(DataError):
    """``catalog.db`` is not a database that can be read."""

    code = "REG-007"


class NewerRegistry(StateError):
    code = "REG-008"


class RunWithoutArtefact(StateError):
    """The run has not ended well, or made nothing that can be registered."""

    code = "REG-009"


class PlaceTaken(StateError):
    """The folder where the version would lie holds something else."""

    code = "REG-010"


class VersionFailed(StateError):
    """The version was found damaged; nothing may load it."""

    code = "REG-011"


class NotPrepared(DataError):
    """Raw data given where a prepared snapshot is registered; ``command`` prepares it."""

    code = "REG-012"


class UnknownDatasetVersion(DataError):
    """No registered data set, version or alias of this name; ``known`` holds the nearest ones."""

    code = "REG-013"
    status = 404


class DatasetFailed(StateError):
    """The version of a data set was found damaged; nothing may read it."""

    code = "REG-014"


class DamagedSnapshot(DataError):
    """A snapshot that was to be registered is damaged; ``problems`` lists all of it, one a line."""

    code = "REG-015"


class NoDatabase(MachineError):
    """The database server cannot be reached, or was lost in the middle; nothing half-written is left."""

    code = "REG-016"
    status = 503


class BadDatabaseAddress(UsageError):
    """An address that names no database that Mozhu can use; a password in it is never shown."""

    code = "REG-017"


class LastVersion(StateError):
    """A model keeps at least one version; the model itself can be deleted."""

    code = "REG-018"


class VersionInUse(StateError):
    """Running jobs or endpoints use it; ``users`` names them."""

    code = "REG-019"


class InTrash(StateError):
    code = "REG-020"


class NotInTrash(DataError):
    code = "REG-021"
    status = 404


class ProtectedAlias(DeniedError):
    """The alias moves, or goes, only with ``force`` and for who may manage the model."""

    code = "REG-022"
    status = 403


class NotAllowed(DeniedError):
    """The subject may see the model, and not do this with it."""

    code = "REG-023"
    status = 403


class UnknownAlias(DataError):
    code = "REG-024"
    status = 404


class BadValue(UsageError):
    """A value of a model's page that is none of those there are."""

    code = "REG-025"
    status = 422


class NameTaken(StateError):
    """Names of models, and of data sets, are those of one installation; somebody has this one."""

    code = "REG-026"


class UnknownReport(DataError):
    code = "REG-027"
    status = 404


# ---------------------------------------------------------------- blobs
class BlobMissing(DataError):
    """The store has no content of this hash."""

    code = "STORE-001"
    status = 404


class BlobDamaged(DataError):
    """What the store gave, or was given, has another hash than its name."""

    code = "STORE-002"


class StoreUnreachable(MachineError):
    """The store did not answer as it should, also when asked again."""

    code = "STORE-003"


class StoreRefused(MachineError):
    """The store does not let us in: key, secret, bucket or rights are wrong."""

    code = "STORE-004"


class UnknownStore(UsageError):
    """An address that names no store; ``known`` holds the schemes."""

    code = "STORE-005"


class BadRange(UsageError):
    """A range of bytes that begins behind the end."""

    code = "STORE-006"
    status = 416


class StoreNotSound(DataError):
    """``registry fsck`` found damage; ``problems`` lists all of it, one a line."""

    code = "STORE-007"


# ---------------------------------------------------------------- uploads
class UnknownUpload(DataError):
    code = "UPLOAD-001"
    status = 404


class UploadTooLarge(UsageError):
    """One upload above the setting's limit."""

    code = "UPLOAD-002"
    status = 413


class UploadQuota(StateError):
    """The open uploads of this user are as many, or as large, as they may be."""

    code = "UPLOAD-003"
    status = 429


class NoRoomForUpload(MachineError):
    """The disk could not hold it; nothing was sent."""

    code = "UPLOAD-004"
    status = 507


class PartDamaged(DataError):
    """A part whose bytes have another hash or length than its sender said."""

    code = "UPLOAD-005"


class UnknownPart(DataError):
    code = "UPLOAD-006"
    status = 404


class UploadClosed(StateError):
    """The upload has ended: complete, given up or expired."""

    code = "UPLOAD-007"


class PartsMissing(StateError):
    """It cannot be completed yet; ``missing`` names the parts."""

    code = "UPLOAD-008"


class ContentDiffers(DataError):
    """The whole file has another hash than was said when the upload began."""

    code = "UPLOAD-009"


class BadUploadFiles(UsageError):
    """The list of files is not one that can be uploaded; ``problems`` lists all of it, one a line."""

    code = "UPLOAD-010"
    status = 422


class BadArchive(DataError):
    """A zip that is damaged, dangerous or has more in it than it says; ``problems`` lists all, one a line."""

    code = "UPLOAD-011"


class FileChangedMeanwhile(DataError):
    """A file is not the one that was hashed any more; what was sent of it is not used."""

    code = "UPLOAD-012"


class UploadPaused(MozhuError):
    """The person, or the program, asked for a pause; what was acknowledged stays."""

    code = "UPLOAD-013"
    status = 409
    exit_code = 130


class NoServerNamed(UsageError):
    """Something that is done at a service, and none is named."""

    code = "UPLOAD-014"


# ---------------------------------------------------------------- imports
class UnknownImport(DataError):
    code = "IMPORT-001"
    status = 404


class ImportEnded(StateError):
    """The upload has become a version; there is nothing left to try again."""

    code = "IMPORT-002"


class UploadEnded(StateError):
    """The upload that an import waits for has ended without being complete, or is gone."""

    code = "IMPORT-003"


class ImportGone(StateError):
    """The import was taken back while its files were being looked at; they become no version."""

    code = "IMPORT-004"


class ImportKeepsDying(StateError):
    """The process that looks at the files has ended without a result as often as it was started."""

    code = "IMPORT-005"


# ---------------------------------------------------------------- REST service and its client
class InvalidRequest(UsageError):
    """Fields of a request that are wrong; ``problems`` lists all of them, one a line."""

    code = "API-001"
    status = 422


class NoSuchPage(DataError):
    """No route of the service has this path."""

    code = "API-002"
    status = 404


class WrongMethod(UsageError):
    code = "API-003"
    status = 405


class NotSignedIn(DeniedError):
    """No token, or one that is not known here."""

    code = "API-004"
    status = 401


class UnknownHost(DeniedError):
    """The ``Host`` header names an address under which this service is not known."""

    code = "API-005"
    status = 421


class BodyTooLarge(UsageError):
    code = "API-006"
    status = 413


class ChangedMeanwhile(StateError):
    """``If-Match`` names another state than the one that is here now."""

    code = "API-007"
    status = 412


class KeyUsedOtherwise(StateError):
    """An ``Idempotency-Key`` that belongs to a request with another content."""

    code = "API-008"
    status = 422


class SameRequestRuns(StateError):
    """A request with the same ``Idempotency-Key`` is being carried out."""

    code = "API-009"


class BadCursor(UsageError):
    code = "API-010"


class NotJson(UsageError):
    """The body of a request that is no JSON."""

    code = "API-011"


class NotReady(MachineError):
    """The service cannot do its work now; ``reasons`` says why, one a line."""

    code = "API-012"


class StrangeText(UsageError):
    """Texts of a request that no database keeps; ``problems`` lists all of them, one a line."""

    code = "API-013"
    status = 422


class ServiceUnreachable(MachineError):
    """Nothing answers at the address of a service, or it stopped answering."""

    code = "API-020"


class StrangeAnswer(MachineError):
    """What answers is not a Mozhu service, or one that this client does not know."""

    code = "API-021"
    status = 502


class NotRemote(UsageError):
    """Something that can only be done where the workspace is."""

    code = "API-022"


class AddressTaken(StateError):
    code = "API-030"


class WorkersNeedPostgres(UsageError):
    code = "API-031"


class OpenToNetwork(UsageError):
    """An address that others can reach, and nothing that protects what is sent."""

    code = "API-032"


# ---------------------------------------------------------------- webhooks
class UnknownWebhook(DataError):
    code = "HOOK-001"
    status = 404


class ForbiddenAddress(DeniedError):
    """An address inside the own network, where a webhook could reach what it must not."""

    code = "HOOK-002"
    status = 422


class UnknownEvents(UsageError):
    code = "HOOK-003"
    status = 422


# ---------------------------------------------------------------- export
class NoAdapter(DataError):
    code = "EXPORT-001"


class NotMergeable(DataError):
    """The adapter, or the base, is of a kind whose merge would not be the trained model; ``reasons`` lists why."""

    code = "EXPORT-002"


class NoEffect(DataError):
    code = "EXPORT-003"


class AdapterMismatch(DataError):
    """The adapter was not made for this base; ``problems`` lists names and shapes that do not fit."""

    code = "EXPORT-004"


class CertificateFailed(StateError):
    """What was made is not what it was made from; ``checks`` lists the failed ones. Nothing was written."""

    code = "EXPORT-005"


class MergeFirst(UsageError):
    """An adapter was given where a whole model is needed."""

    code = "EXPORT-006"


class OutputInsideInput(UsageError):
    code = "EXPORT-007"


class UnsupportedFamily(DataError):
    """No converter for this architecture; ``supported`` lists those there are."""

    code = "EXPORT-008"


class UnsupportedModelSetting(DataError):
    """A supported family with a setting that the format, or our converter, cannot hold."""

    code = "EXPORT-009"


class UnsupportedTokenizer(DataError):
    code = "EXPORT-010"


class ReadBackFailed(StateError):
    """The file, opened again, is not what was to be written; ``checks`` lists the differences."""

    code = "EXPORT-011"


class BadModelfile(DataError):
    code = "EXPORT-012"


class LlamaCppRefused(DataError):
    """llama.cpp does not load or run a GGUF file; ``reason`` is what it said."""

    code = "EXPORT-014"


class MergeBusy(StateError):
    """Another process makes the same merged model."""

    code = "EXPORT-030"


class SumNotPossible(DataError):
    """Adapters of these ``kinds`` do not add up: what they do to a weight is no sum."""

    code = "EXPORT-031"


class CannotCombine(DataError):
    """The adapters cannot be combined in this way; ``reasons`` lists why."""

    code = "EXPORT-032"


class NotSameModel(DataError):
    """Two models of which one should be the other's base differ in more than values; ``problems`` lists where."""

    code = "EXPORT-033"


class NotConvertible(DataError):
    """A model cannot be written in the wished form; ``reason`` says why."""

    code = "EXPORT-034"


class NothingToCertify(DataError):
    """What was named is of another kind than the certificate asked for, or holds several artefacts."""

    code = "EXPORT-050"


class SourceUnknown(UsageError):
    """Nothing says what an artefact was made from; ``flag`` is the one that names it."""

    code = "EXPORT-051"


class MissingCertificate(DataError):
    code = "EXPORT-052"
    status = 404


# ---------------------------------------------------------------- evaluation and certificates
class NothingToScore(DataError):
    code = "EVAL-001"


class BaseChanged(DataError):
    """The model with its adapter switched off is not the base: a comparison would lie."""

    code = "EVAL-002"


class BadMetric(DataError):
    code = "EVAL-003"


class NothingToMerge(UsageError):
    code = "EVAL-004"


# ---------------------------------------------------------------- a workspace's own code
class ExtensionBroken(DataError):
    """Files of ``2_core/`` that cannot be imported; ``problems`` names file, line and reason, one a line."""

    code = "CORE-001"


# ---------------------------------------------------------------- toolbox (1_utils)
class BadToolArgument(UsageError):
    code = "TOOLBOX-001"


class UnknownConfigFormat(UsageError):
    code = "TOOLBOX-002"


class MissingLibrary(MachineError):
    """A library that no extra of ours brings."""

    code = "TOOLBOX-003"


class UnreadableConfig(DataError):
    code = "TOOLBOX-004"


class NotJsonValue(UsageError):
    """Something that JSON cannot hold and give back unchanged."""

    code = "TOOLBOX-005"


class BadTable(DataError):
    """A CSV file whose rows do not fit its header; ``problems`` lists them, one a line."""

    code = "TOOLBOX-006"


def error_class(code: str) -> type[MozhuError] | None:
    """The class of a code, or ``None`` when no class has it."""
    for kind in globals().values():
        if isinstance(kind, type) and issubclass(kind, MozhuError) and kind.code == code:
            return kind
    return None
